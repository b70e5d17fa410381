"""Other ways to bring a log into two tables, as people write them first, measured beside the pipeline."""
