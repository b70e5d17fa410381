"""The services of docker-compose.yml, and who they are."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.topology import MAINTENANCE, Stage

ROOT = Path(__file__).parents[2]
#: The services of ours, with the command that the documentation gives a person for the same thing.
OURS = {
    "provision": "python -m pipeline provision compose",
    "migrate": "python -m pipeline migrate",
    "roles": "python -m pipeline provision postgresql",
    "watcher": "python -m pipeline watch",
    "lake-worker": f"celery -A tasks worker -Q {Stage.LAKE.queue_name}",
    "clean-worker": f"celery -A tasks worker -Q {Stage.CLEAN.queue_name}",
    "maintenance-worker": f"celery -A tasks worker -Q {MAINTENANCE}",
    "beat": "celery -A tasks beat",
    "flower": "celery -A tasks flower",
    "web": "python -m pipeline web",
    "operator": "python -m pipeline status",
    "exporter": "python -m pipeline metrics",
}
#: The nodes of RabbitMQ; the first is there without a profile.
NODES = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
SERVERS = {*NODES, "postgres", "prometheus"}
#: What each profile adds.
PROFILES = {
    "monitoring": {"exporter", "prometheus"},
    "cluster": set(NODES[1:]),
    "tools": {"provision", "operator"},
}
SECRETS = ("RABBITMQ_COOKIE", "POSTGRES_PASSWORD")
#: What each service of ours is: its user of the broker, its role in the database.
IDENTITIES = {
    "watcher": ("watcher", None),
    "lake-worker": ("lake", "lake"),
    "clean-worker": ("clean", "clean"),
    "maintenance-worker": ("maintenance", "maintenance"),
    "beat": ("beat", "beat"),
    "flower": ("flower", None),
    "web": ("web", "web"),
    "exporter": ("web", "web"),
    "operator": ("operator", "maintenance"),
}
#: Those that run once and end, and those that only the owner of the tables can do.
ONCE, OWNERS = {"provision", "migrate", "roles", "operator"}, {"migrate", "roles"}
LASTING = set(OURS) - ONCE


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text()


def composed() -> dict[str, dict[str, Any]]:
    """Return the services of the file, variables left as they are written."""
    return dict(yaml.safe_load(text("docker-compose.yml"))["services"])
