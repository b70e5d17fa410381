"""What page and report show, as values: parts of rows over a selection of time and source.

clock               the newest moment that has records
traffic, volume     hits by minute or hour and status class; hits and bytes by minute or hour
latency, visitors   quantiles by minute, hour or day; how many visitors the hours of the period had
paths, errors, slow, agents, browsers, addresses, countries
                    rankings, of the period or the whole days that it touches
drifts, findings    what was noticed
rejected, dead      rejected lines and dead letters by signature, with an example
missing, rates      what the stages lack, and since when; lines stored of late, by second and stage
sources, watched    sources and what is stored of them; how far the watcher of this machine has read
queues, watches     depths; what is wrong with the topology
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: A Monday, from which whole steps of any length are counted.
ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
#: A longer period is ranked by whole days, which are counted already.
_EXACT, _DAY = timedelta(hours=1), timedelta(days=1)
#: A longer period has its latencies by day.
_BY_HOUR = timedelta(days=15)


@dataclass(frozen=True, slots=True)
class Period:
    """A range of time [since, until), both aware."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    def preceding(self) -> "Period":
        """Return the period of the same length that ends where this one begins."""
        return Period(self.since - self.length, self.since)

    def whole(self, step: timedelta) -> "Period":
        """Return the shortest period of whole steps that holds this one."""
        last = floor(self.until - timedelta(microseconds=1), step)
        return Period(floor(self.since, step), last + step)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked about: a period, and one source or (None) all of them."""

    period: Period
    source_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer of a part: the names of its columns, and rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def named(self) -> list[dict[str, Any]]:
        """Return each row with the names of its values."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a part has no answer, in words."""

    message: str


#: Answers one part; raises a PipelineError where it cannot.
Ask = Callable[[Selection], Rows]
#: The answers by part.
Figures = Mapping[str, Rows | Trouble]


@dataclass(frozen=True, slots=True)
class Compared:
    """Another period to compare with, and its figures."""

    period: Period
    figures: Figures


def ranked_period(period: Period) -> Period:
    """Return the period that rankings are of: this one, or the whole days (UTC) that it touches."""
    return period if period.length <= _EXACT else period.whole(_DAY)


def latency_unit(period: Period) -> timedelta:
    """Return over which units of time latencies of a period are told."""
    if period.length <= _EXACT:
        return timedelta(minutes=1)
    return timedelta(hours=1) if period.length <= _BY_HOUR else _DAY


def rows(figures: Figures, part: str) -> list[dict[str, Any]]:
    """Return the rows of a part by name, none where it has no answer."""
    found = figures.get(part)
    return found.named() if isinstance(found, Rows) else []


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the last moment of whole steps; weeks begin on Monday."""
    return moment - (moment - ORIGIN) % step
