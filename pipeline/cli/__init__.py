"""The commands of `python -m pipeline`, one file each: the composition root, may import db and tasks."""
