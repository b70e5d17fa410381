"""What is counted of a pool."""

import time
from dataclasses import asdict

import pytest
from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject, Retry, TimeLimitExceeded

from db.store import Stored
from tasks import metrics


def value(name: str, **labels: str) -> float:
    """Return a sample of the pool's registry."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_text_of_what_was_stored_is_read() -> None:
    """Each figure of a result arrives under its name, as Celery writes it out for Flower."""
    stored = Stored(lines=7, records=5, rejected=2, new_bytes=100, known_bytes=30, conflict_bytes=4)
    pairs = {
        "sluice_stored_lines_total": "lines",
        "sluice_rejected_lines_total": "rejected",
        "sluice_stored_bytes_total": "new_bytes",
        "sluice_known_bytes_total": "known_bytes",
        "sluice_conflict_bytes_total": "conflict_bytes",
    }
    before = {name: value(name, stage="clean") for name in pairs}
    metrics.note_stored("clean", repr(str(stored)), 0.2, time.time() - 2)

    for name, field in pairs.items():
        assert value(name, stage="clean") - before[name] == asdict(stored)[field], name
    assert value("sluice_stage_seconds_bucket", stage="clean", le="0.25") >= 1
    assert value("sluice_transit_seconds_sum", stage="clean") == pytest.approx(2, abs=1)


def test_a_message_of_a_version_without_the_time_of_its_publish_is_counted() -> None:
    """A batch that was published before an upgrade counts, but for its way."""
    before = value("sluice_transit_seconds_count", stage="lake")
    metrics.note_stored("lake", str(Stored(lines=1)), 0.1, None)

    assert value("sluice_transit_seconds_count", stage="lake") == before


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (Retry(), "retried"),
        (Reject("bad", requeue=False), "rejected"),
        (Reject("broker full", requeue=True), "requeued"),
        (WorkerLostError("killed"), "lost"),
        (SystemExit(1), "lost"),
        (TimeLimitExceeded(360), "timed_out"),
    ],
)
def test_every_end_has_a_word(error: BaseException, word: str) -> None:
    """What ended a delivery is told apart."""
    assert metrics.outcome(error) == word
