"""What a delivery waits for, and how long."""

import pytest

from pipeline.errors import ConfigurationError, DatabaseUnavailable, EnvelopeError
from tasks import delivery


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, in seconds, that a delivery asked for; the clock moves by them and no one sleeps."""
    taken: list[float] = []
    monkeypatch.setattr(delivery.time, "sleep", taken.append)
    monkeypatch.setattr(delivery.time, "monotonic", lambda: sum(taken))
    return taken


def test_backoff_grows_to_its_cap() -> None:
    """Waits double from a quarter of a second and stay below the longest wait."""
    waits = [max(delivery.backoff(attempt) for _ in range(200)) for attempt in range(1, 12)]

    assert waits[0] <= 0.5
    assert waits[3] > waits[1]
    assert delivery.LONGEST_WAIT_SECONDS / 2 < waits[-1] <= delivery.LONGEST_WAIT_SECONDS


def test_hold_tries_again_until_the_dependency_is_back(naps: list[float]) -> None:
    """A short absence costs waits, not a retry, and so does what a person has to mend."""
    outcomes = iter([DatabaseUnavailable("away"), ConfigurationError("no such table"), "stored"])

    def work() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert delivery.hold(work) == "stored"
    assert len(naps) == 2


def test_hold_gives_up_after_its_time(naps: list[float]) -> None:
    """A long absence ends the wait, so that the message is not held beyond the broker's limit."""

    def work() -> str:
        raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        delivery.hold(work)

    assert delivery.HOLD_SECONDS < sum(naps) < delivery.HOLD_SECONDS + 2 * delivery.LONGEST_WAIT_SECONDS


def test_hold_does_not_wait_for_what_waiting_cannot_mend(naps: list[float]) -> None:
    """A permanent error passes through at once."""

    def work() -> str:
        raise EnvelopeError("no batch")

    with pytest.raises(EnvelopeError):
        delivery.hold(work)

    assert naps == []
