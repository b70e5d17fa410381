"""What makes a message a task: Celery's message protocol 2, written without Celery.

https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from datetime import datetime
from typing import Any

#: Header with the time of the publish, in seconds since 1970, by the clock of the watcher.
PUBLISHED_HEADER = "sluice_published_at"


def headers(
    task: str, task_id: str, *, argsrepr: str = "()", origin: str = "sluice", eta: datetime | None = None
) -> dict[str, Any]:
    """Return the headers of a task that is the root of its own tree; `argsrepr` is what Flower shows.

    With `eta`, an aware datetime, it waits in a worker until then.
    """
    return {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "argsrepr": argsrepr,
        "kwargsrepr": "{}",
        "origin": origin,
        "retries": 0,
        "eta": eta.isoformat() if eta else None,
        "expires": None,
        "timelimit": [None, None],
        "ignore_result": True,
    }


def body(*arguments: Any) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Return the body of a task with these arguments and nothing that follows it."""
    return arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
