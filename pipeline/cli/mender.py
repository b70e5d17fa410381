"""Mends a run: confirmed bytes that do not arrive are published again."""

import time

from sqlalchemy import Engine

from pipeline.cli import output
from pipeline.cli.progress import Reach
from pipeline.publish import Publisher
from pipeline.settings import Settings
from tasks.repair import RepairReport, repair

#: Time without a byte confirmed or stored, in seconds, after which what is missing counts as lost on its way.
STALL_SECONDS = 5.0
#: Longest such time, in seconds: it doubles with each repair that moved nothing.
LONGEST_STALL_SECONDS = 300.0
#: Looks at a queue that stands still before it is worth a word: three times the stall.
PATIENCE = 3
#: Repairs in a row that move nothing: what is missing then cannot be stored.
ATTEMPTS = 3


class Mender:
    """Notices that nothing moves any more, and repairs."""

    def __init__(self, settings: Settings, engine: Engine, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._settings = settings
        self._engine = engine
        self._seen: tuple[int, tuple[int, ...]] | None = None
        self._moved_at = time.monotonic()
        self._attempts = self._waits = 0
        self._said = ""

    @property
    def exhausted(self) -> bool:
        """True when repairs did not move a byte."""
        return self._attempts >= ATTEMPTS

    def mend(self, reach: Reach) -> None:
        """Repair when bytes are open and none has moved for too long.

        Raises:
            BrokerUnavailable, DatabaseUnavailable: not now; the next call tries again.
        """
        now = time.monotonic()
        seen = (reach.confirmed_bytes, tuple(reach.stored_bytes.values()))
        if seen != self._seen or reach.complete:
            self._seen, self._moved_at, self._attempts = seen, now, 0
        elif now - self._moved_at >= min(LONGEST_STALL_SECONDS, self._stall_seconds * 2**self._attempts):
            self._moved_at = now
            self._repair()

    def say(self, message: str) -> None:
        """Say something to the user, but not the same thing again and again."""
        if message != self._said:
            self._said = message
            output.say(message)

    def _repair(self) -> None:
        with Publisher(self._settings) as publisher:
            report = repair(self._settings, self._engine, publisher)
        # What waits in a queue is not lost: its pool is starting, slow, or about to be restarted.
        self._attempts += not report.waiting
        self._waits += 1 if report.waiting else -self._waits
        if not report.waiting or self._waits >= PATIENCE:
            self.say(words(report))


def words(report: RepairReport) -> str:
    """Return what a repair did, for a person."""
    published = [
        f"{stage}: {output.size(count)} published again"
        for stage, count in report.published_bytes.items()
        if count
    ]
    waiting = [f"{stage}: nothing moves, and its queue still holds messages" for stage in report.waiting]
    left = [
        f"{part.stage}: bytes [{part.start}, {part.end}) of {part.path} are not published: {part.reason}"
        for part in (*report.unavailable, *report.dead)
    ]
    return "; ".join([*published, *waiting, *left]) or "nothing is missing"
