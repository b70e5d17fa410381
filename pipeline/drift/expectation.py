"""What one measure of a source should be at a time of day, and how far it strays from that by itself."""

import math
from datetime import datetime
from typing import Any

from pipeline.drift.measure import Measure

#: Windows that a level remembers at most, and seconds: a day's rise and fall is followed, a drift is not.
LEVEL_WINDOWS, LEVEL_SECONDS = 200, 3600.0
#: Seconds between two windows that count at most: a pause, as for an upgrade, must not hide what it brought.
MOST_SECONDS = 300.0
#: Windows that the noise is taken over.
NOISE_WINDOWS = 100
#: Share of the newest day in what is expected of an hour.
DAY_SHARE = 0.3
#: How far a single window may raise the noise, in multiples of it: what is far off is no noise.
CLIPPED = 3.0
HOURS = 24
_DAY_SECONDS = 86400


class Expectation:
    """Of one measure: its level, its usual course over a day once it is known, and its noise."""

    def __init__(self, stored: dict[str, Any] | None = None) -> None:
        stored = stored or {}
        self.count: int = stored.get("count", 0)
        self._level: float = stored.get("level", 0.0)
        self._excess: float = stored.get("excess", 1.0)
        self._last: float | None = stored.get("last")
        # Mean by hour of day, of the days before the hour at hand.
        self._hours: list[float | None] = stored.get("hours") or [None] * HOURS
        # The hour at hand: its number since the epoch, the sum and count of its windows.
        self._hour: list[float] = stored.get("hour") or [-1, 0.0, 0]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "count": self.count,
            "level": self._level,
            "excess": self._excess,
            "last": self._last,
            "hours": self._hours if any(mean is not None for mean in self._hours) else None,
            "hour": self._hour,
        }

    def at(self, moment: datetime | None) -> float:
        """Return what the measure should be, on its scale."""
        usual = None if moment is None else self._usual(moment)
        return self._level if usual is None else usual

    def _usual(self, moment: datetime) -> float | None:
        """Return what earlier days say of a time of day, between the middles of its two nearest hours."""
        place = (moment.timestamp() % _DAY_SECONDS) / 3600 - 0.5
        low = math.floor(place)
        before, after = self._hours[low % HOURS], self._hours[(low + 1) % HOURS]
        if before is None or after is None:
            return None
        return before + (place - low) * (after - before)

    def noise(self, measure: Measure) -> float:
        """Return how far a window strays by itself, on the measure's scale."""
        return measure.noise * math.sqrt(max(self._excess, 1.0))

    def learn(self, measure: Measure, moment: datetime | None, *, suspicious: bool = False) -> None:
        """Take a window into account; what is suspicious is no noise, or a slow drift would hide in it."""
        if self.count and not suspicious:
            stray = (measure.value - self.at(moment)) / measure.noise
            if measure.rising:
                # At first all is new: that fewer and fewer are is no noise.
                stray = max(stray, -1.0)
            ceiling = CLIPPED**2 * max(self._excess, 1.0)
            share = 1 / min(self.count, NOISE_WINDOWS)
            self._excess += share * (min(stray * stray, ceiling) - self._excess)
        self.count += 1
        self._level += self._share(moment) * (measure.value - self._level)
        if moment is not None:
            self._learn_hour(measure.value, moment)

    def _share(self, moment: datetime | None) -> float:
        share = 1 / min(self.count, LEVEL_WINDOWS)
        if moment is not None:
            now = moment.timestamp()
            # Clocks are set, and lines of several processes are not in order: any way is a way.
            passed = min(abs(now - self._last), MOST_SECONDS) if self._last is not None else 0.0
            self._last = now
            share = max(share, 1 - math.exp(-passed / LEVEL_SECONDS))
        return share

    def _learn_hour(self, value: float, moment: datetime) -> None:
        hour = int(moment.timestamp() // 3600)
        if hour != self._hour[0]:
            self._end_hour()
            self._hour = [hour, 0.0, 0]
        self._hour[1] += value
        self._hour[2] += 1

    def _end_hour(self) -> None:
        number, total, count = self._hour
        if count:
            mean, place = total / count, int(number) % HOURS
            before = self._hours[place]
            self._hours[place] = mean if before is None else before + DAY_SHARE * (mean - before)
