"""The watch over exchange, queues and bindings: a thread of beat, and the probe's task in each stage.

A thread and not a task: it must work when the pool that would run the task has lost its queue.
"""

import logging
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from celery import Task, shared_task
from sqlalchemy import Engine

from db import watches
from db.engine import make_engine
from db.watches import Watched
from pipeline import probe
from pipeline.depths import queue_depths
from pipeline.errors import PipelineError, TransientError
from pipeline.settings import Settings
from pipeline.topology import LOGS, Stage
from tasks import stores

log = logging.getLogger(__name__)

#: Time between two looks, in seconds: what is wrong is said within three of them.
WATCH_SECONDS = 15.0
#: Age, in seconds, at which a probe that is in no queue counts as lost; a batch in hand takes less.
LOST_SECONDS = 25.0
#: Age, in seconds, at which a probe that waits in its queue is worth a word.
SLOW_SECONDS = 60.0
#: What is wrong with a queue whose probe is nowhere.
LOST = (
    f"lost its binding to the exchange {LOGS.name}, or its messages: a probe did not arrive; declared again"
)


@shared_task(bind=True, name=probe.PROBE_TASK, Strategy="tasks.routing:route")
def arrived(self: Task, probe_id: str) -> str:
    """Note that a probe came through the exchange to this worker's stage; return the stage, for Flower."""
    stage = Stage(self.request.get(probe.STAGE_HEADER))
    try:
        watches.note_seen(stores.engine(), stage.queue_name, uuid.UUID(probe_id), datetime.now(UTC))
    except TransientError as error:
        log.warning("a probe of %s is not noted: %s", stage.queue_name, error)
    return stage.value


def look(settings: Settings, engine: Engine, now: datetime | None = None) -> dict[str, str | None]:
    """Look once at everything; keep, log and return what is wrong with each part, None where all is well.

    What is gone is declared again, where that is permitted. What was missed meanwhile is a gap, which
    audit and repair find. Two at once do no harm: the last probe counts.

    Raises:
        BrokerUnavailable, DatabaseUnavailable: the next look is the retry.
    """
    now = now or datetime.now(UTC)
    known = watches.watched(engine)
    depths = queue_depths(settings)
    waiting = {stage.queue_name: depths[stage.queue_name].messages for stage in Stage}
    verdicts = {name: _verdict(known.get(name), count, now) for name, count in waiting.items()}
    # The probe first: to declare would mend the binding that it tests.
    refused = _send(settings, engine, known, verdicts, now)
    problems = probe.examine(settings)
    for name, verdict in verdicts.items():
        problems[name] = problems[name] or verdict
    problems[LOGS.name] = problems[LOGS.name] or refused
    watches.note(engine, problems, now)
    _tell(problems, known)
    return problems


def _verdict(row: Watched | None, waiting_count: int, now: datetime) -> str | None:
    if row is None or row.sent_at is None or not row.is_awaited:
        return None
    age = now - row.sent_at
    if not waiting_count and age >= timedelta(seconds=LOST_SECONDS):
        return LOST
    if waiting_count and age >= timedelta(seconds=SLOW_SECONDS):
        return f"a probe waits in it for {age.total_seconds():.0f} s: its pool is away or behind"
    return None


def _send(
    settings: Settings,
    engine: Engine,
    known: Mapping[str, Watched],
    verdicts: Mapping[str, str | None],
    now: datetime,
) -> str | None:
    # One probe under way at a time, so that they do not pile up in the queue of a pool that is away.
    free = [name for name, verdict in verdicts.items() if _is_free(known.get(name), verdict)]
    if len(free) < len(verdicts):
        return None
    probe_id = uuid.uuid4()
    watches.note_sent(engine, free, probe_id, now)
    return probe.send(settings, probe_id)


def _is_free(row: Watched | None, verdict: str | None) -> bool:
    return row is None or not row.is_awaited or verdict == LOST


def _tell(problems: Mapping[str, str | None], known: Mapping[str, Watched]) -> None:
    for name, problem in problems.items():
        before = known[name].problem if name in known else None
        if problem:
            log.error("%s %s", name, problem)
        elif before:
            log.warning("%s is well again", name)


class TopologyWatch(threading.Thread):
    """Looks every `WATCH_SECONDS` until the process ends."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="topology watch", daemon=True)
        self._settings = settings
        self._end = threading.Event()

    def stop(self) -> None:
        """End after the look in hand."""
        self._end.set()

    def run(self) -> None:
        """Look again and again; what does not answer is said and tried again."""
        engine = make_engine(self._settings.sqlalchemy_url, application_name="sluice watch")
        while not self._end.wait(WATCH_SECONDS):
            try:
                look(self._settings, engine)
            except PipelineError as error:
                log.warning("the watch over the queues waits: %s", error)
