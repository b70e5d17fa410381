"""What page and report say: values, plots, sections, and how they are written down."""
