"""How long a source is silent by itself, and from when on its silence means something."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.detect.observed import Lines
from pipeline.detect.rules import Rules

#: Days whose longest pause is remembered: a week has its Sunday.
DAYS = 8
#: Least pause that is told; how long a log must have been followed before.
LEAST_SILENCE, LEAST_FOLLOWED = timedelta(minutes=10), timedelta(hours=6)
#: A line that is stored so late was not followed as it was written.
LATE = timedelta(minutes=10)
_DAY_SECONDS = 86400


class Pauses:
    """The longest pause of each day, in seconds; as JSON it goes on after a restart."""

    def __init__(self, rules: Rules, stored: Any = None) -> None:
        stored = stored or {}
        self._rule = rules.changes.get("silence")
        self._first: float | None = stored.get("first")
        self._last: float | None = stored.get("last")
        self._longest: dict[int, float] = dict(stored.get("longest", []))

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        longest = list(self._longest.items())
        return {"first": self._first, "last": self._last, "longest": longest}

    def learn(self, lines: Lines) -> None:
        """Learn the pauses between the minutes that have lines."""
        for minute in sorted(each.minute.timestamp() for each in lines.minutes()):
            self._first = minute if self._first is None else self._first
            if self._last is not None and minute > self._last:
                day = int(minute // _DAY_SECONDS)
                self._longest[day] = max(self._longest.get(day, 0.0), minute - self._last)
            self._last = max(minute, self._last or minute)
        for day in sorted(self._longest)[:-DAYS]:
            del self._longest[day]

    def silent_after(self, now: datetime) -> datetime | None:
        """Return from when on silence is told, None where it means nothing: the log is old, or not known."""
        if self._rule is None or self._first is None or self._last is None:
            return None
        last = datetime.fromtimestamp(self._last, UTC)
        followed = timedelta(seconds=self._last - self._first)
        if followed < LEAST_FOLLOWED or now - last > LATE:
            return None
        longest = timedelta(seconds=max(self._longest.values(), default=0.0))
        return last + max(self._rule.factor * longest, LEAST_SILENCE)
