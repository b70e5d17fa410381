"""The view clean_logs reads the same on both databases."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.engine import reading
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.formats import get_format

PROXY = (
    b"203.0.113.9 YWN6 jane.doe@example.org [01/Mar/2023:00:00:09 -0500] "
    b'"GET https://app.example.com:443/a?x=1 HTTP/1.1" 404 2048 -\n'
)
COMBINED = b'2001:db8::1 - - [31/Dec/2023:23:59:59 +0000] "-" 400 - "-" "-"\n'


def view_row(engine: Engine, line: bytes, format_: str) -> dict[str, Any]:
    """Return the row of clean_logs that a line becomes, numbers and times in one form."""
    CleanStore(engine).store(Batch(Source("ef" * 16, "web-1", "/log", format=format_), 0, line))
    with reading(engine) as connection:
        row = connection.execute(text("SELECT * FROM clean_logs")).mappings().one()
    plain = {name: str(row[name]) for name in ("timestamp", "time")}
    plain["timestamp"] = plain["timestamp"].removesuffix("+00:00")
    kilo, mega = (row[name] if row[name] is None else float(row[name]) for name in SIZES)
    return {
        **row,
        **plain,
        "is_email": bool(row["is_email"]),
        "is_complete": bool(row["is_complete"]),
        SIZES[0]: kilo,
        SIZES[1]: mega,
    }


SIZES = ("size_kilo_bytes", "size_mega_bytes")
#: Columns that an access log leaves empty.
EMPTY = (
    *("asn", "ip_scope", "browser", "os", "device", "is_bot", "server_name", "duration_seconds"),
    *("upstream_seconds", "level", "program", "process_id", "message", "continues", "inferred"),
    *("failed_fields", "extra"),
)


def test_every_column_of_a_record(engine: Engine) -> None:
    """Each fact of the line and each that follows from it is there by its name, times in UTC."""
    assert view_row(engine, PROXY, "proxy") == {
        "source_id": 1,
        "line_start": 0,
        "timestamp": "2023-03-01 05:00:09",
        "year": 2023,
        "month": 3,
        "day": 1,
        "day_of_week": "Wednesday",
        "time": "05:00:09",
        "utc_offset_minutes": -300,
        "ip": "203.0.113.9",
        "client_host": None,
        "country": None,
        "city": None,
        "session": "YWN6",
        "user": "jane.doe@example.org",
        "is_email": True,
        "email_domain": "example.org",
        "rest_method": "GET",
        "url": "https://app.example.com:443/a?x=1",
        "schema": "https",
        "host": "app.example.com",
        "port": 443,
        "path": "/a",
        "query": "x=1",
        "rest_version": "HTTP/1.1",
        "status": 404,
        "status_verbose": "Not Found",
        "size_bytes": 2048,
        "size_kilo_bytes": 2.0,
        "size_mega_bytes": 2 / 1024,
        "referer": None,
        "user_agent": None,
        "format": "proxy",
        "format_version": get_format("proxy").version,
        **dict.fromkeys(EMPTY),
        "is_complete": True,
    }


def test_what_is_not_there_is_null(engine: Engine) -> None:
    """A line without a request, size and user has NULL there, and in what would follow from it."""
    row = view_row(engine, COMBINED, "combined")

    absent = ("url", "path", "size_bytes", "size_kilo_bytes", "user", "email_domain", "referer", "user_agent")
    assert [None] * len(absent) == [row[name] for name in absent]
    assert (
        row["ip"],
        row["day_of_week"],
        row["status_verbose"],
        row["is_email"],
    ) == ("2001:db8::1", "Sunday", "Bad Request", False)


@pytest.mark.parametrize("user", ["jane", "@", "a@b@c.d", "a@.", "a@bc"])
def test_what_is_no_address_is_no_email(engine: Engine, user: str) -> None:
    """A user without a name, a domain or a dot in it is no e-mail address and has no domain."""
    row = view_row(engine, PROXY.replace(b"jane.doe@example.org", user.encode()), "proxy")

    assert (user, False, None) == (row["user"], row["is_email"], row["email_domain"])
