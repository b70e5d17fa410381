"""Times as servers write them → UTC; what a line does not say of its time is named.

The rule for a time without a zone: it is read as UTC, its offset is 0, and `inferred` says `zone`. It is the
same on every machine and in every replay; a zone of the reading machine would not be.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipeline.errors import RejectedLine
from pipeline.formats.fields import MONTHS, quote

#: The columns of every time here, in order.
MOMENT_COLUMNS = ("timestamp", "utc_offset_minutes", "inferred")
#: UTC time, offset in minutes, and what was inferred.
Moment = tuple[datetime, int, str | None]

_CLOCK = rb"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_ZONE = rb"(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?"
#: `2015-05-17T10:05:03.123Z`, with a blank, slashes, a comma, or without a zone as well.
ISO = re.compile(rb"(\d{4})[-/](\d\d?)[-/](\d\d?)[T ]" + _CLOCK + rb" ?" + _ZONE)
#: `17/May/2015:10:05:03.123 +0000`, or without zone and fraction.
SLASHED = re.compile(rb"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):" + _CLOCK + rb"(?: ?" + _ZONE + rb")?")
#: `Fri Sep 09 10:42:29.902022 2011`, of C's asctime.
ASCTIME = re.compile(rb"[A-Z][a-z][a-z] ([A-Z][a-z][a-z]) +(\d\d?) " + _CLOCK + rb" (\d{4})")
EPOCH = re.compile(rb"(\d{1,11})(?:\.(\d{1,9}))?")
_START = datetime(1970, 1, 1, tzinfo=UTC)


def iso_time(field: bytes) -> Moment:
    """Return the UTC time, the offset and what was inferred of an ISO 8601 time.

    Raises:
        RejectedLine: another form, or no such time.
    """
    match = ISO.fullmatch(field)
    if match is None:
        raise _not_a_time(field, "2015-05-17T10:05:03.123Z")
    year, month, day, *clock, zone = match.groups()
    return _moment(field, (int(year), int(month), int(day)), clock, zone)


def slashed_time(field: bytes) -> Moment:
    """Return the same of `06/Feb/2009:12:14:14.655`, with or without fraction and offset.

    Raises:
        RejectedLine: another form, or no such time.
    """
    match = SLASHED.fullmatch(field)
    if match is None or match[2] not in MONTHS:
        raise _not_a_time(field, "06/Feb/2009:12:14:14.655")
    day, month, year, *clock, zone = match.groups()
    return _moment(field, (int(year), MONTHS[month], int(day)), clock, zone)


def asctime(field: bytes) -> Moment:
    """Return the same of `Fri Sep 09 10:42:29.902022 2011`; the day of the week is not compared.

    Raises:
        RejectedLine: another form, or no such time.
    """
    match = ASCTIME.fullmatch(field)
    if match is None or match[1] not in MONTHS:
        raise _not_a_time(field, "Fri Sep 09 10:42:29.902022 2011")
    month, day, *clock, year = match.groups()
    return _moment(field, (int(year), MONTHS[month], int(day)), clock, None)


def epoch_time(field: bytes) -> Moment:
    """Return the same of seconds since 1970 UTC, with or without a fraction.

    Raises:
        RejectedLine: another form, or beyond the year 9999.
    """
    match = EPOCH.fullmatch(field)
    if match is None:
        raise _not_a_time(field, "1431857103.123")
    try:
        return _START + timedelta(seconds=int(match[1]), microseconds=_microseconds(match[2])), 0, None
    except OverflowError:
        raise RejectedLine(f"time {quote(field)} does not exist") from None


def _moment(field: bytes, day: tuple[int, int, int], clock: Sequence[bytes], zone: bytes | None) -> Moment:
    hour, minute, second, fraction = clock
    offset = _offset_minutes(zone)
    try:
        # A leap second, 60, reads as 59: neither datetime nor PostgreSQL keeps one.
        at = datetime(
            *day,
            int(hour),
            int(minute),
            min(int(second), 59) if int(second) <= 60 else int(second),  # noqa: PLR2004
            _microseconds(fraction),
            tzinfo=UTC,
        )
        return at - timedelta(minutes=offset), offset, None if zone else "zone"
    except (ValueError, OverflowError) as error:
        raise RejectedLine(f"time {quote(field)} does not exist: {error}") from None


def _offset_minutes(zone: bytes | None) -> int:
    if not zone or zone == b"Z":
        return 0
    digits = zone[1:].replace(b":", b"")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone.startswith(b"-") else 1)


def _microseconds(fraction: bytes | None) -> int:
    return int((fraction or b"0")[:6].ljust(6, b"0"))


def _not_a_time(field: bytes, form: str) -> RejectedLine:
    return RejectedLine(f"time {quote(field)} is not of the form {form}")
