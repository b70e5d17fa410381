"""What a visitor has chosen in the address: period, source, comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from pipeline.errors import PipelineError
from pipeline.report.figures import Period, Selection, floor

#: Ranges to choose from, by their name in the address.
RANGES = {
    "1h": ("last hour", timedelta(hours=1)),
    "6h": ("last 6 hours", timedelta(hours=6)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "90d": ("last 90 days", timedelta(days=90)),
    "365d": ("last 365 days", timedelta(days=365)),
}
DEFAULT = "24h"
#: The longest period, and the unit that the ends of one have.
LONGEST, MINUTE = timedelta(days=3660), timedelta(minutes=1)
#: Highest number of a source: what the column holds.
_MOST = 2**31 - 1


class Unfit(PipelineError):  # noqa: N818 - the visitor's mistake, not ours
    """The address asks for something that there is not."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen; `range` is empty where since and until were given."""

    range: str
    selection: Selection
    is_compared: bool

    def query(self) -> str:
        """Return what makes the same choice again: a range stays one, and goes on with the time."""
        period = self.selection.period
        ends = {"since": f"{period.since:%Y-%m-%dT%H:%M}", "until": f"{period.until:%Y-%m-%dT%H:%M}"}
        chosen = {"range": self.range} if self.range else ends
        source = {} if self.selection.source_id is None else {"source": str(self.selection.source_id)}
        return urlencode(chosen | source | ({"compare": "1"} if self.is_compared else {}))


def source_of(given: Callable[[str], str]) -> int | None:
    """Return the number of the chosen source, None for all.

    Raises:
        Unfit: it is no number.
    """
    text = given("source")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST):
        raise Unfit(f"source={text[:40]!r}: give the id of a source, as the table of sources shows it")
    return int(text)


def chosen(given: Callable[[str], str], newest: datetime | None, now: datetime) -> Choice:
    """Return the choice of an address.

    Args:
        given: returns the value of a name in the address, or "".
        newest: when the newest record of the source is from; a range that would end after it and hold none
            ends with it instead, so that old logs can be looked at.
        now: where ranges end.

    Raises:
        Unfit: a value is none that there is, or the period is empty or too long.
    """
    name = given("range")
    if name and name not in RANGES:
        raise Unfit(f"range={name[:40]!r}: choose one of {', '.join(RANGES)}, or give since and until")
    ends = _ends(given) if not name else None
    if ends is None:
        name = name or DEFAULT
        period = _until(RANGES[name][1], newest, now)
    else:
        period = Period(ends[0], ends[1] or floor(now, MINUTE) + MINUTE)
    if not timedelta() < period.length <= LONGEST:
        raise Unfit("since must lie before until, and at most ten years apart")
    return Choice(name, Selection(period, source_of(given)), given("compare") == "1")


def _until(length: timedelta, newest: datetime | None, now: datetime) -> Period:
    end = now if newest is None or newest >= now - length else newest
    last = floor(end, MINUTE) + MINUTE
    return Period(last - length, last)


def _ends(given: Callable[[str], str]) -> tuple[datetime, datetime | None] | None:
    since, until = (_moment(name, given(name)) for name in ("since", "until"))
    if since is None:
        if until is not None:
            raise Unfit("until: give since too")
        return None
    return since, until


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return floor(aware.astimezone(UTC), MINUTE)
    except (ValueError, OverflowError):
        raise Unfit(f"{name}={text[:40]!r}: not a day YYYY-MM-DD or an ISO time") from None
