"""The Celery tasks; `celery -A tasks` finds the app in tasks/celery.py."""
