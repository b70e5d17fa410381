"""Five minutes of a source, gathered from stretches of lines: what is usual is judged by these."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.detect.observed import UNKNOWN, Lines

#: Length of an interval, and how long its last lines may be late, in seconds.
SECONDS, LATE_SECONDS = 300, 120
#: Hosts, and beginnings of paths, that are told apart in an interval; times that are kept of each path.
MOST_HOSTS, MOST_PATHS, MOST_TIMES = 50, 200, 300
#: Names of a path that count, and its longest beginning in characters: what lies deeper is content.
PATH_NAMES, PATH_CHARACTERS = 2, 80
#: Lines with an error that are named.
MOST_OFFSETS = 3
#: Intervals without a line that are gone through: a day; what paused for longer begins anew.
MOST_EMPTY = 288
#: The classes of statuses that are errors.
CLASSES = (4, 5)
_NUMBERS = re.compile(r"[0-9]+")


class Interval:
    """Counts of one interval.

    Attributes:
        hosts: host → lines, 4xx, 5xx.
        failed: class of status → beginning of a path → errors.
        times: beginning of a path → seconds of requests.
        offsets: class of status → some lines with such an error.
    """

    def __init__(self, number: int, stored: dict[str, Any] | None = None) -> None:
        stored = stored or {}
        self.number = number
        self.hosts: dict[str, list[int]] = stored.get("hosts", {})
        self.failed: dict[str, dict[str, int]] = stored.get("failed", {})
        self.times: dict[str, list[float]] = stored.get("times", {})
        self.offsets: dict[str, list[int]] = stored.get("offsets", {})

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "hosts": self.hosts,
            "failed": self.failed,
            "times": self.times,
            "offsets": self.offsets,
        }

    @property
    def since(self) -> datetime:
        """When it begins."""
        return datetime.fromtimestamp(self.number * SECONDS, UTC)

    @property
    def until(self) -> datetime:
        """Its last second."""
        return self.since + timedelta(seconds=SECONDS - 1)

    @property
    def lines(self) -> int:
        """All its lines."""
        return sum(counts[0] for counts in self.hosts.values())

    def errors(self, kind: int) -> int:
        """Return its errors of a class of statuses, 4 or 5."""
        return sum(counts[kind - 3] for counts in self.hosts.values())


class Intervals:
    """The intervals that are not over yet."""

    def __init__(self, stored: Any = None) -> None:
        stored = stored or {}
        self._last: int = stored.get("last", -1)
        self._open = {number: Interval(number, each) for number, each in stored.get("open", [])}

    def as_json(self) -> Any:
        """Return what is gathered as JSON takes it."""
        return {"last": self._last, "open": [[each.number, each.as_json()] for each in self._open.values()]}

    def over(self, lines: Lines) -> Iterator[Interval]:
        """Gather further lines; yield the intervals that are over, in order, those without a line too."""
        self._gather_lines(lines)
        self._gather_errors(lines)
        self._gather_times(lines)
        yield from self._ended(lines.reached)

    def _gather_lines(self, lines: Lines) -> None:
        for minute in lines.minutes():
            if (own := self._at(minute.minute)) is not None:
                host = minute.host if _has_room(own.hosts, minute.host, MOST_HOSTS) else UNKNOWN
                counts = own.hosts.setdefault(host, [0, 0, 0])
                for place, count in enumerate((minute.lines, minute.client_errors, minute.server_errors)):
                    counts[place] += count

    def _gather_errors(self, lines: Lines) -> None:
        for failed in lines.failed():
            kind = failed.status // 100
            if (own := self._at(failed.minute)) is None or kind not in CLASSES:
                continue
            paths = own.failed.setdefault(str(kind), {})
            if _has_room(paths, path := beginning(failed.path), MOST_PATHS):
                paths[path] = paths.get(path, 0) + failed.count
            if len(offsets := own.offsets.setdefault(str(kind), [])) < MOST_OFFSETS:
                offsets.append(failed.offset)

    def _gather_times(self, lines: Lines) -> None:
        for timed in lines.timed():
            if (own := self._at(timed.minute)) is None:
                continue
            path = beginning(timed.path)
            if _has_room(own.times, path, MOST_PATHS) and len(own.times.get(path, ())) < MOST_TIMES:
                own.times.setdefault(path, []).append(timed.seconds)

    def _at(self, minute: datetime) -> Interval | None:
        """Return the interval of a minute, None where it is over: such lines come too late."""
        number = int(minute.timestamp()) // SECONDS
        return self._open.setdefault(number, Interval(number)) if number > self._last else None

    def _ended(self, reached: datetime | None) -> Iterator[Interval]:
        if reached is None:
            return
        end = (int(reached.timestamp()) - LATE_SECONDS) // SECONDS
        for number in sorted(number for number in self._open if number < end):
            if self._last >= 0 and number - self._last <= MOST_EMPTY:
                yield from map(Interval, range(self._last + 1, number))
            self._last = number
            yield self._open.pop(number)


def beginning(path: str) -> str:
    """Return the first names of a path, digits as 0."""
    names = "/".join(path.split("/")[: PATH_NAMES + 1])
    return _NUMBERS.sub("0", names[:PATH_CHARACTERS])


def _has_room(known: dict[str, Any], key: str, most: int) -> bool:
    return key in known or len(known) < most
