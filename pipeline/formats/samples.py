"""Sample values, of which the example of a format made from a server's string is put together."""

import re
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.base import Convert, expand

#: By the first column that a value fills; the first sample that fits is taken.
SAMPLES: dict[str, tuple[bytes, ...]] = {
    "ip": (b"203.0.113.9",),
    "timestamp": (
        *(b"17/May/2015:10:05:03 +0000", b"2015-05-17T10:05:03+00:00", b"2015-05-17T10:05:03+0000"),
        *(b"1431857103.123", b"1431857103", b"1431857103000", b"1431857103000000"),
        *(b"2015-05-17T10:05:03", b"2015-05-17 10:05:03", b"17/May/2015:10:05:03"),
    ),
    "rest_method": (b"GET /a?b=1 HTTP/1.1", b"GET"),
    "schema": (b"https",),
    "path": (b"/a",),
    "query": (b"?b=1", b"b=1"),
    "rest_version": (b"HTTP/1.1",),
    "status": (b"200",),
    "size_bytes": (b"1386",),
    "referer": (b"https://example.org/",),
    "user_agent": (b"Mozilla/5.0 (X11)",),
    "server_name": (b"www.example.org",),
    "duration_seconds": (b"0.120", b"120"),
    "upstream_seconds": (b"0.100",),
    "process_id": (b"1234",),
}
#: What any other value may be.
OTHERS = (b"-", b"1", b"a")


def sample(body: str, columns: tuple[str, ...], convert: Convert) -> bytes:
    """Return a value that fits the pattern of a variable and converts; nothing where none is known."""
    pattern = re.compile(expand(body, "exact").encode())
    for value in (*SAMPLES.get(columns[0] if columns else "", ()), *OTHERS):
        if pattern.fullmatch(value) and _converts(convert, value, len(columns)):
            return value
    return b""


def _converts(convert: Convert, value: bytes, count: int) -> bool:
    try:
        converted: tuple[Any, ...] = convert(value)
    except RejectedLine:
        return False
    # A text that is all path is a request too, and no good sample of one.
    return count <= 1 or converted[0] is not None
