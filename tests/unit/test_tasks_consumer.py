"""A worker leaves a broker that was away the time to elect the leaders of its queues."""

import time

import kombu
import pytest
from celery.worker.consumer import Consumer as CeleryConsumer

from tasks.consumer import ELECTION_SECONDS, Consumer


class Clock:
    """A clock that moves when somebody sleeps, or when a connection takes its time."""

    def __init__(self, connecting_seconds: float) -> None:
        self.now = 100.0
        self.connecting_seconds = connecting_seconds
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note a pause."""
        self.slept.append(seconds)

    def connect(self) -> kombu.Connection:
        """Return a connection after its time; nothing has slept before it is there."""
        assert not self.slept
        self.now += self.connecting_seconds
        return kombu.Connection("memory://")


@pytest.mark.parametrize(
    ("start_count", "connecting_seconds", "pauses"),
    [(1, 0.01, []), (1, 2.1, [ELECTION_SECONDS]), (2, 0.01, [ELECTION_SECONDS])],
    ids=["first start", "broker not up yet", "connection lost"],
)
def test_only_a_broker_that_was_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, start_count: int, connecting_seconds: float, pauses: list[float]
) -> None:
    """The pause comes after the connection, and a worker that starts beside a running broker has none."""
    clock = Clock(connecting_seconds)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(CeleryConsumer, "connect", lambda _consumer: clock.connect())
    consumer = Consumer.__new__(Consumer)
    consumer.restart_count = start_count

    assert isinstance(consumer.connect(), kombu.Connection)

    assert clock.slept == pauses
