"""Messages that are none of ours: each goes to the dead letters, and no byte of it into a log.

Celery logs what it does not understand, body included, and lets some of it end the worker: a root id that is
no UUID, a task name that is a table.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from celery.exceptions import InvalidTaskError

from tasks import metrics

log = logging.getLogger(__name__)

#: Most bytes of a message that is looked at: twice the largest batch that settings allow, unpacked.
MOST_BYTES = 32 << 20
#: Most characters of the words for a task's arguments that are kept for Flower and logs.
MOST_WORDS = 300
#: Longest time that a message may ask to wait: a slice of a replay waits seconds for the next one.
LONGEST_WAIT = timedelta(hours=1)
Errors = tuple[type[Exception], ...]
#: What a message can do to code that reads it; a lost connection is none of them.
FAULTS = (InvalidTaskError, KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


def forget_builtin_tasks(app: Celery) -> None:
    """Remove Celery's own tasks from this process: one of them runs any other with any arguments."""
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        del app.tasks[name]


def guarded(handle: Callable[[Any], Any], connection_errors: Errors) -> Callable[[Any], Any]:
    """Return the handler of a worker's messages, which outlives every one of them."""

    def on_message(message: Any) -> Any:
        size = len(message.body or b"")
        if size > MOST_BYTES:
            return reject(message, connection_errors, f"has {size} bytes, more than any of ours")
        try:
            message.headers.update(checked(message.headers))
            return handle(message)
        except FAULTS as error:
            if message.acknowledged:
                raise
            return reject(message, connection_errors, f"is none of ours: {type(error).__name__}")

    return on_message


def checked(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers that the worker leans on, as ours have them.

    Raises:
        KeyError, TypeError, ValueError: one is missing, or not of its kind; Celery would meet that too late.
    """
    names = {name: _text(headers[name]) for name in ("task", "id", "root_id")}
    uuid.UUID(names["root_id"])
    retries = headers.get("retries") or 0
    if not isinstance(retries, int):
        raise TypeError("no count")
    _soon(headers.get("eta"))
    words = {name: _text(headers.get(name) or "")[:MOST_WORDS] for name in ("argsrepr", "kwargsrepr")}
    # Nobody but this worker's settings limits the time of a task.
    return {**names, **words, "retries": retries, "timelimit": [None, None]}


def _soon(eta: Any) -> None:
    # What waits is held unacknowledged, beside what its worker may take.
    if eta is not None and datetime.fromisoformat(eta) - datetime.now(UTC) > LONGEST_WAIT:
        raise ValueError("a time that is far off")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def reject(message: Any, connection_errors: Errors, reason: str) -> None:
    """Reject a message, so that the broker keeps it as a dead letter; count it, and log its kind and size."""
    metrics.note_end(metrics.PULSE.name, "undecodable")
    log.error(
        "a message (%s, %d bytes) goes to the dead letters: it %s",
        ascii(message.content_type), len(message.body or b""), reason,
    )  # fmt: skip
    message.reject_log_error(log, connection_errors)
