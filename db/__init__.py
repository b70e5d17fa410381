"""The tables and what reads and writes them; knows nothing of Celery or files."""
