"""The fields that the formats of web servers share."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RejectedLine
from pipeline.formats import fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"203.0.113.9", ("203.0.113.9", None)),
        (b"2001:DB8:0:0::1", ("2001:db8::1", None)),
        (b"::ffff:192.0.2.1", ("::ffff:192.0.2.1", None)),
        (b"fe80::1%eth0", (None, "fe80::1%eth0")),
        (b"256.1.1.1", (None, "256.1.1.1")),
        (b"010.1.1.1", (None, "010.1.1.1")),
        (b"1.1", (None, "1.1")),
        (b"crawler.example.org", (None, "crawler.example.org")),
        (b"\xff\0", (None, r"\xff\x00")),
        (b"-", (None, None)),
    ],
)
def test_address_is_told_from_a_name(field: bytes, value: tuple[str | None, str | None]) -> None:
    """Only what PostgreSQL's inet takes for the same address is one."""
    assert value == fields.address(field)


@pytest.mark.parametrize(
    ("field", "moment", "offset"),
    [
        (b"17/May/2015:10:05:03 +0000", datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC), 0),
        (b"01/Mar/2023:00:00:09 -0500", datetime(2023, 3, 1, 5, 0, 9, tzinfo=UTC), -300),
        (b"01/Jan/2024:00:10:00 +0545", datetime(2023, 12, 31, 18, 25, tzinfo=UTC), 345),
        (b"29/Feb/2024:12:00:00 -0030", datetime(2024, 2, 29, 12, 30, tzinfo=UTC), -30),
        (b"31/Dec/2016:23:59:60 +0000", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), 0),
        (b"01/Jan/0001:00:00:00 +0000", datetime(1, 1, 1, tzinfo=UTC), 0),
        (b"31/Dec/9999:23:59:59 +0000", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), 0),
    ],
)
def test_time_is_utc_and_keeps_its_offset(field: bytes, moment: datetime, offset: int) -> None:
    """A time comes back in UTC with the minutes that the server was away from it."""
    value = fields.common_time(field)

    assert (moment, offset) == value
    assert value[0].tzinfo is UTC


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001 - as written
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_time_and_offset_are_the_written_time(moment: datetime, offset: int) -> None:
    """UTC plus the offset is the local time that the line showed."""
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    written = f"{moment:%d}/{moment:%b}/{moment.year:04}:{moment:%H:%M:%S} {zone}"

    utc, minutes = fields.common_time(written.encode())

    assert moment.replace(microsecond=0) == utc.replace(tzinfo=None) + timedelta(minutes=offset)
    assert offset == minutes


@pytest.mark.parametrize(
    "field",
    [
        *(b"31/Feb/2015:10:05:03 +0000", b"29/Feb/2023:10:05:03 +0000", b"00/May/2015:10:05:03 +0000"),
        *(b"17/Mai/2015:10:05:03 +0000", b"17/may/2015:10:05:03 +0000", b"17/May/0000:10:05:03 +0000"),
        *(b"17/May/2015:24:00:00 +0000", b"17/May/2015:10:60:03 +0000", b"17/May/2015:10:05:61 +0000"),
        *(b"17/May/2015:10:05:03 +2400", b"17/May/2015:10:05:03 +0060", b"17/May/2015:10:05:03"),
        *(b"01/Jan/0001:00:00:00 +0001", b"31/Dec/9999:23:59:59 -0001", b"17/May/2015:10:05:03 +0000 "),
        *(b"17/May/2015:10:05: 3 +0000", b"1_/May/2015:10:05:03 +0000", b"17/May/2015:10:05:03 Z", b"17/"),
    ],
)
def test_time_that_does_not_exist_is_rejected(field: bytes) -> None:
    """No such day, month, hour, offset or form: the reason shows the field."""
    with pytest.raises(RejectedLine, match=r"^time '") as caught:
        fields.common_time(field)
    assert field.decode() in caught.value.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"-", None), (b"0", 0), (b"0001", 1), (b"9223372036854775807", 2**63 - 1), (b"0" * 40, 0)],
)
def test_size_fits_a_bigint(field: bytes, value: int | None) -> None:
    """A size up to the largest bigint is a number."""
    assert (value,) == fields.size(field)


@pytest.mark.parametrize("field", [b"9223372036854775808", b"99999999999999999999", b"1" * 5000])
def test_size_over_a_bigint_is_rejected(field: bytes) -> None:
    """A larger one is rejected with a reason of bounded length."""
    with pytest.raises(RejectedLine, match="is over 9223372036854775807") as caught:
        fields.size(field)
    assert len(caught.value.reason) < 100


@given(st.binary())
def test_text_holds_no_nul_and_no_surrogate(field: bytes) -> None:
    """Any bytes become text that PostgreSQL takes; a dash alone is NULL."""
    (value,) = fields.text(field)

    if value is None:
        assert field == b"-"
    else:
        assert "\0" not in value
        assert value.encode().decode() == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", r"caf\xe9"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"a\0b", r"a\x00b"),
        (rb"\x22\"\\", rb"\x22\"\\".decode()),
        (b"", ""),
    ],
)
def test_text_keeps_what_the_server_wrote(field: bytes, value: str) -> None:
    """UTF-8 is decoded, what is not is shown, and the server's own escapes stay."""
    assert (value,) == fields.text(field)


def test_client_takes_the_rest_as_the_user() -> None:
    """Session and user follow the address; only the user may hold spaces."""
    assert fields.client(b"192.0.2.1 s1 Jane  Doe") == ("192.0.2.1", None, "s1", "Jane  Doe")
    assert fields.client(b"web - -") == (None, "web", None, None)


def test_status_is_a_number_or_null() -> None:
    """Three digits are a number, a dash is NULL."""
    assert [fields.status(field) for field in (b"404", b"000", b"-")] == [(404,), (0,), (None,)]
