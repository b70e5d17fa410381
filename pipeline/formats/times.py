"""Times as programs write them, with zone or without, and what is inferred where a part is missing."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from pipeline.errors import RejectedLine
from pipeline.formats.fields import MONTHS, common_time

#: ISO 8601 and RFC 3339, and what is near: `/` in the date, a space before the time or the zone, a comma
#: before the fraction.
ISO = re.compile(
    r"(\d{4})([-/])(\d\d)\2(\d\d)[Tt _](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?"
    r" ?(?:(Z|z|UTC|GMT)|([+-])(\d\d)(?::?([0-5]\d))?)?",
    re.ASCII,
)
#: `17/May/2015:10:05:03 +0000`, the time of the common log format.
COMMON = re.compile(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", re.ASCII)
#: `Nov 24 12:00:00`, or with its year before the time; of RFC 3164 and its kin.
BSD = re.compile(
    r"([A-Z][a-z][a-z]) {1,2}(\d\d?)(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII
)
#: A number as text: not so long that its conversion would cost anything.
NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,18})?", re.ASCII)
#: From these numbers on an epoch counts in milliseconds, microseconds, nanoseconds: in seconds the first is
#: in the year 5138.
MILLISECONDS, MICROSECONDS, NANOSECONDS = 10**11, 10**14, 10**17
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: How far a clock may be ahead before a time without a year is one of the year before.
AHEAD = timedelta(days=1)
#: The 29th of February recurs within so many years.
LEAP_YEARS = 8
MAX_OFFSET_MINUTES = 24 * 60
LAST_SECOND = 59


class Time(NamedTuple):
    """A moment in UTC, the offset in minutes of its zone, and what no one wrote; without a zone it is UTC."""

    timestamp: datetime
    utc_offset_minutes: int = 0
    inferred: tuple[str, ...] = ()

    def columns(self) -> dict[str, Any]:
        """Return the values by column; `inferred` is NULL where the line says it all."""
        return {
            "timestamp": self.timestamp,
            "utc_offset_minutes": self.utc_offset_minutes,
            "inferred": inferred_names(self.inferred),
        }


def inferred_names(names: tuple[str, ...]) -> str | None:
    """Return the value of the column `inferred`: names in the order of their being said, None for none."""
    return ",".join(names) or None


def moment(value: Any) -> Time:
    """Return the time of a text or number: ISO 8601, the common log format, or an epoch.

    Seconds, milliseconds, microseconds and nanoseconds since 1970 are told apart by their size. A time
    without a zone is UTC, and `zone` is inferred.

    Raises:
        ValueError, TypeError: it is no time, or none that exists.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("not a time")
    if isinstance(value, int | float):
        return epoch(Decimal(value if isinstance(value, int) else repr(value)))
    text = value.strip()
    if match := ISO.fullmatch(text):
        return _iso(match)
    if COMMON.fullmatch(text):
        try:
            return Time(*common_time(text.encode()))
        except RejectedLine as error:
            raise ValueError(error.reason) from None
    if NUMBER.fullmatch(text):
        return epoch(Decimal(text))
    raise ValueError("not a time")


def epoch(number: Decimal) -> Time:
    """Return the moment so many seconds, or whatever unit its size tells, after 1970 began.

    Raises:
        ValueError: it is negative, not finite, or beyond the year 9999.
    """
    if not number.is_finite() or number < 0:
        raise ValueError("not a time since 1970")
    unit = 1 if number < MILLISECONDS else 10**3 if number < MICROSECONDS else 10**6
    unit = 10**9 if number >= NANOSECONDS else unit
    try:
        return Time(EPOCH + timedelta(microseconds=int(number * 10**6 / unit)))
    except OverflowError:
        raise ValueError("beyond the year 9999") from None


def _iso(match: re.Match[str]) -> Time:
    year, _, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = match.groups()
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC) + _seconds(
        second or "0", fraction
    )
    if utc:
        return Time(local)
    if sign is None:
        return Time(local, inferred=("zone",))
    offset = (int(hours) * 60 + int(minutes or 0)) * (-1 if sign == "-" else 1)
    if abs(offset) >= MAX_OFFSET_MINUTES:
        raise ValueError("an offset of a day or more")
    try:
        return Time(local - timedelta(minutes=offset), offset)
    except OverflowError:
        raise ValueError("out of range") from None


def _seconds(second: str, fraction: str | None) -> timedelta:
    # A leap second, 60, reads as 59: neither datetime nor PostgreSQL keeps one.
    if int(second) > LAST_SECOND + 1:
        raise ValueError("second must be in 0..60")
    microseconds = int((fraction or "0").ljust(6, "0")[:6])
    return timedelta(seconds=min(int(second), LAST_SECOND), microseconds=microseconds)


def of_layout(value: Any, layout: str, at: datetime) -> Time:
    """Return the time of a text in a layout of strptime, in UTC, where its line was first stored at a moment.

    Two more layouts: "" is any time that `moment` knows, "bsd" is `Nov 24 12:00:00`. The year, where it is
    missing, is the latest one that puts the time no more than a day after the moment.

    Raises:
        ValueError, TypeError: it is no such time, or none that exists.
    """
    if not layout:
        return moment(value)
    if not isinstance(value, str):
        raise TypeError("not a text")
    if layout == "bsd":
        return bsd_time(value, at)
    if "%Y" in layout or "%y" in layout:
        return _placed(datetime.strptime(value, layout))  # noqa: DTZ007 - its zone is looked at
    # In a leap year, so that the 29th of February is read.
    found = _placed(datetime.strptime(f"2000 {value}", f"%Y {layout}"))  # noqa: DTZ007
    return Time(_latest(found.timestamp, at), found.utc_offset_minutes, ("year", *found.inferred))


def _placed(found: datetime) -> Time:
    offset = found.utcoffset()
    if offset is None:
        return Time(found.replace(tzinfo=UTC), inferred=("zone",))
    try:
        return Time(found.astimezone(UTC), int(offset.total_seconds() // 60))
    except OverflowError:
        raise ValueError("out of range") from None


def bsd_time(text: str, at: datetime) -> Time:
    """Return the time of `Nov 24 12:00:00`, in UTC, with the year inferred as in `of_layout`.

    Raises:
        ValueError: it is no such time, or none that exists.
    """
    match = BSD.fullmatch(text)
    month = MONTHS.get(match[1].encode()) if match else None
    if match is None or month is None:
        raise ValueError("not a time")
    year = int(match[3] or 2000)
    found = datetime(year, month, int(match[2]), int(match[4]), int(match[5]), tzinfo=UTC)
    found += _seconds(match[6], match[7])
    if match[3]:
        return Time(found, inferred=("zone",))
    return Time(_latest(found, at), inferred=("year", "zone"))


def _latest(found: datetime, at: datetime) -> datetime:
    newest = at + AHEAD
    for year in range(newest.year, newest.year - LEAP_YEARS - 1, -1):
        try:
            candidate = found.replace(year=year)
        except ValueError:  # the 29th of February
            continue
        if candidate <= newest:
            return candidate
    raise ValueError("day is out of range for month")
