"""Binary COPY: the encoders write what PostgreSQL's documentation says."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from db.copy import NULL, day, encode_group, joined, line_heads
from pipeline.errors import RejectedLine


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("path", "/é", b"\0\0\0\3/\xc3\xa9"),
        ("path", None, NULL),
        ("status", 404, b"\0\0\0\2\1\x94"),
        ("port", 65535, b"\0\0\0\4\0\0\xff\xff"),
        ("size_bytes", -1, b"\0\0\0\x08" + b"\xff" * 8),
        ("timestamp", datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC), b"\0\0\0\x08" + (1_000_000).to_bytes(8)),
        (
            "timestamp",
            datetime(2000, 1, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))),
            b"\0\0\0\x08" + (5).to_bytes(8),
        ),
        ("ip", "203.0.113.9", b"\0\0\0\x08\2\x20\0\4\xcb\0\x71\x09"),
        ("ip", "::1", b"\0\0\0\x14\3\x80\0\x10" + (1).to_bytes(16)),
    ],
)
def test_fields(column: str, value: Any, field: bytes) -> None:
    """A value of each type is its length and its binary form."""
    assert field == encode_group((column,), (value,))


def test_fields_of_a_group_stand_in_order() -> None:
    """A group of several columns is its fields one behind the other."""
    both = encode_group(("status", "path"), (200, None))

    assert encode_group(("status",), (200,)) + NULL == both


@pytest.mark.parametrize(("column", "value"), [("status", 70_000), ("size_bytes", 1 << 64), ("ip", "nobody")])
def test_values_out_of_range_reject_their_line(column: str, value: Any) -> None:
    """A value that its column cannot hold rejects the line and names the column, not the value."""
    with pytest.raises(RejectedLine) as caught:
        encode_group((column,), (value,))

    assert column in caught.value.reason
    assert str(value) not in caught.value.reason


def test_rows_are_heads_and_columns() -> None:
    """A row is its count of fields, the fixed fields, the line's start, and then its own fields."""
    heads = line_heads((b"<fixed>",), 3, [7, 8], [1, 2])

    rows = joined((heads, [b"a", b"bc"]))

    start = b"\0\0\0\x08"
    first = b"\0\3<fixed>" + start + (7).to_bytes(8) + b"\0\0\0\1a"
    assert first + b"\0\3<fixed>" + start + (8).to_bytes(8) + b"\0\0\0\2bc" == rows


def test_columns_of_unequal_length_are_refused() -> None:
    """A column that lacks a line stops the load: every later line would get its neighbour's values."""
    with pytest.raises(ValueError, match="shorter"):
        joined(([b"a", b"b"], [b"a"]))


def test_days_count_from_2000() -> None:
    """A date is its days since 2000-01-01."""
    assert day(date(2000, 1, 2)) == b"\0\0\0\4\0\0\0\1"
