"""Celery's remote control, reduced to questions whose answers hold no line.

Whoever may send to it, Flower for one, could otherwise stop a pool, revoke a batch (which Celery then
acknowledges unread), or read what a batch carries: Celery's own `active` and `reserved` answer with the
arguments themselves.
"""

from collections.abc import Iterable
from typing import Any

from celery.worker import state
from celery.worker.control import Panel

#: What stays as it is: questions, and what Flower sends beside them.
KEPT = {
    "ping", "stats", "active_queues", "registered", "conf", "report", "clock", "revoked", "enable_events",
    "heartbeat",
}  # fmt: skip


def allow_questions_only() -> None:
    """Take from this process every remote command that changes a worker or shows a task's arguments."""
    answers = {"active": _active, "reserved": _reserved, "scheduled": _scheduled}
    Panel.data = {name: command for name, command in Panel.data.items() if name in KEPT} | answers


def _active(_: Any, **__: Any) -> list[dict[str, Any]]:
    return _shown(state.active_requests)


def _reserved(_: Any, **__: Any) -> list[dict[str, Any]]:
    return _shown(
        request for request in list(state.reserved_requests) if request not in state.active_requests
    )


def _scheduled(_: Any, **__: Any) -> list[dict[str, Any]]:
    # Nothing here is sent with an ETA.
    return []


def _shown(requests: Iterable[Any]) -> list[dict[str, Any]]:
    # Safe: with the words for the arguments that travel in the header, not with the arguments.
    return [request.info(safe=True) for request in list(requests)]
