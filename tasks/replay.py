"""Replay of what the lake holds, in short tasks: on beat's schedule, and as a person orders."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Task, shared_task
from sqlalchemy import Engine

from db.cleaned import Choice
from db.slices import Order, replay_slice
from db.store import CleanStore
from pipeline import maintenance
from pipeline.errors import ConfigurationError, TransientError
from pipeline.settings import Settings
from tasks import stores

log = logging.getLogger(__name__)

#: Seconds of work of one task; a batch for the lake that comes meanwhile waits so long.
SLICE_SECONDS = 1.0
#: Seconds after which an order that could not go on is tried again.
AWAY_SECONDS = 30.0


@shared_task(bind=True, name=maintenance.REPLAY_TASK)
def replay(self: Task, order: dict[str, Any] | None = None) -> str:
    """Read ranges again for `SLICE_SECONDS` and send what is left on; return what was done, for Flower.

    Without an order it is about what a lower version of a format has read, and goes on until the next one
    on beat's schedule is due. The next slice waits for so long that all of them together take a share of
    the time (SLUICE_REPLAY_SHARE). It is with the broker before this one is acknowledged: a task that is
    killed is delivered again, and skips what is done. Two at once do no harm, each takes its share.
    """
    until = _expiry(self.request.expires)
    current = Order.decode(order) if order else Order(Choice(risen=True), until=until)
    return replay_some(stores.settings(), stores.engine(), stores.clean(), current)


def replay_some(settings: Settings, engine: Engine, store: CleanStore, order: Order) -> str:
    """Do one slice of an order, send the rest of it on, and return what was done.

    Raises:
        BrokerUnavailable: the rest is not sent; the same order again goes on.
    """
    share = settings.replay_share
    if not share:
        return "not done: SLUICE_REPLAY_SHARE is 0"
    try:
        done = replay_slice(engine, store, order, SLICE_SECONDS)
    except (TransientError, ConfigurationError) as error:
        log.warning("the replay waits: %s", error)
        _send_on(settings, order, AWAY_SECONDS)
        return f"not now: {error}"
    if done.rest:
        _send_on(settings, done.rest, done.seconds * (1 - share) / share)
    tally = done.tally
    counts = f"{tally.replaced} ranges replaced, {tally.skipped} skipped, {tally.unavailable} unavailable"
    return f"{counts}; {f'then {done.rest}' if done.rest else 'nothing is left'}"


def _expiry(text: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else text


def _send_on(settings: Settings, order: Order, wait_seconds: float) -> None:
    if order.until is None or datetime.now(UTC) + timedelta(seconds=wait_seconds) < order.until:
        words = f"({order})"
        maintenance.send(
            settings, maintenance.REPLAY_TASK, order.encode(), words=words, wait_seconds=wait_seconds
        )
