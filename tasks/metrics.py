"""What Prometheus learns of a pool: counted in its main process, as each delivery ends.

Not in the children, whose counts would have to survive them: prometheus_client's way is a file for each child
that ever lived, mapped into memory, which a killed child may leave half written, and a folder to write them
to. The main process outlives its children, learns what became of each delivery, and pays a few microseconds
a batch.
"""

import re
import time
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Reject, Retry, TimeLimitExceeded
from celery.worker.request import Request
from celery.worker.state import reserved_requests
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipeline.exposure import Pulse
from pipeline.measured import SECONDS
from pipeline.protocol import PUBLISHED_HEADER
from pipeline.topology import Stage
from tasks import logs

#: What a pool exposes.
REGISTRY = CollectorRegistry()
#: The consumer's signs of life.
PULSE = Pulse("pool")

_STAGE = ("stage",)
_deliveries = Counter(
    "sluice_deliveries", "Deliveries that ended, by outcome.", ("stage", "outcome"), registry=REGISTRY
)
_lines = Counter("sluice_stored_lines", "Lines that were new.", _STAGE, registry=REGISTRY)
_bytes = Counter("sluice_stored_bytes", "Bytes that were new.", _STAGE, registry=REGISTRY)
_known = Counter("sluice_known_bytes", "Bytes that had been stored before.", _STAGE, registry=REGISTRY)
_conflicts = Counter("sluice_conflict_bytes", "Bytes that contradict the stored.", _STAGE, registry=REGISTRY)
_rejected = Counter("sluice_rejected_lines", "Lines that did not parse.", _STAGE, registry=REGISTRY)
_seconds = Histogram(
    "sluice_stage_seconds", "A delivery in its child.", _STAGE, registry=REGISTRY, buckets=SECONDS
)
_transit = Histogram(
    "sluice_transit_seconds", "From publish to commit.", _STAGE, registry=REGISTRY, buckets=SECONDS
)
_in_hand = Gauge("sluice_in_hand", "Deliveries that are not acknowledged yet.", registry=REGISTRY)
_in_hand.set_function(lambda: len(reserved_requests))


class StageRequest(Request):  # type: ignore[misc,unused-ignore]
    """Celery's request, which counts its end."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the success in, which Celery handles in a class that it derives for each task."""
        super().__init_subclass__(**kwargs)
        succeed = cls.on_success

        def on_success(self: Any, failed__retval__runtime: Any, **kwargs: Any) -> Any:
            failed, result, runtime = failed__retval__runtime
            if not failed:
                self.note_success(result, runtime)
            return succeed(self, failed__retval__runtime, **kwargs)

        cls.on_success = on_success

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return str(self.task.stage)

    def note_success(self, result: Any, runtime: float) -> None:
        """Count a delivery whose transaction committed."""
        note_stored(self.stage, str(result), runtime, self.request_dict.get(PUBLISHED_HEADER))

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Count a delivery that was not stored, and let Celery handle it."""
        note_end(self.stage, outcome(exc_info.exception))
        with logs.about(self.request_dict, self.name):
            return super().on_failure(exc_info, *args, **kwargs)

    def on_timeout(self, soft: Any, timeout: Any) -> Any:
        """Count a delivery whose child was killed for its time, and let Celery handle it."""
        if not soft:
            note_end(self.stage, "timed_out")
        with logs.about(self.request_dict, self.name):
            return super().on_timeout(soft, timeout)


def outcome(error: BaseException) -> str:
    """Return in one word what became of a delivery that ended with this error."""
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    if isinstance(error, Retry):
        return "retried"
    if isinstance(error, Reject):
        return "requeued" if error.requeue else "rejected"
    return "timed_out" if isinstance(error, TimeLimitExceeded) else "lost"


def note_stored(stage: str, result: str, runtime: float, published_at: object = None) -> None:
    """Count what a delivery stored; `result` is the text of a `db.store.Stored`, for Flower and for this."""
    counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", result)}
    note_end(stage, "stored")
    _lines.labels(stage).inc(counts.get("lines", 0))
    _bytes.labels(stage).inc(counts.get("new_bytes", 0))
    _known.labels(stage).inc(counts.get("known_bytes", 0))
    _conflicts.labels(stage).inc(counts.get("conflict_bytes", 0))
    _rejected.labels(stage).inc(counts.get("rejected", 0))
    _seconds.labels(stage).observe(runtime)
    if isinstance(published_at, float):
        _transit.labels(stage).observe(max(0.0, time.time() - published_at))


def note_end(stage: str, outcome_: str) -> None:
    """Count the end of a delivery."""
    _deliveries.labels(stage, outcome_).inc()


def begin(name: str) -> None:
    """Note the name of this pool; of a stage's show every outcome as 0, so that the first one is a rise."""
    PULSE.name = name
    if name not in {stage.value for stage in Stage}:
        return
    for word in ("stored", "retried", "requeued", "rejected", "lost", "timed_out", "undecodable"):
        _deliveries.labels(name, word)
