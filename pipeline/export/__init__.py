"""Tables written as CSV, JSON lines or Parquet, a chunk of rows at a time."""
