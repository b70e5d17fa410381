"""Backup and restore: the archive, what fills it, and what is made of it."""
