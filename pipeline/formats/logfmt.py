r"""logfmt: `key=value` pairs, as Go programs and Heroku write them.

A value is bare, or in double quotes with the escapes of JSON; a key without a value is true. Of equal keys
the last one counts. Values stay text but for those that a column types.
"""

import json
import re
from functools import partial
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats import naming
from pipeline.formats.fields import decode

#: A pair, with the spaces before it. The loops are unrolled: where one ends is never in doubt.
PAIR = re.compile(
    r' *([A-Za-z_@][^\s="]*)(?:=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s"]\S*)?))?(?= |\t|$)', re.DOTALL
)


def fields(line: bytes) -> dict[str, Any]:
    """Return the values of a line by key.

    Raises:
        RejectedLine: something is no pair; with the byte where it begins.
    """
    text = decode(line).replace("\t", " ").rstrip(" ")
    found: dict[str, Any] = {}
    position = 0
    while position < len(text):
        match = PAIR.match(text, position)
        if match is None:
            place = len(text[:position].encode())
            raise RejectedLine(f"expected key=value at byte {place}", place)
        key, quoted, bare = match.groups()
        if quoted is not None:
            found[key] = unescaped(quoted)
        else:
            found[key] = (bare or "") if "=" in match[0] else True
        position = match.end()
    return found


def unescaped(text: str) -> str:
    """Return a quoted text without its escapes, or as it is where they are not those of JSON."""
    if "\\" not in text:
        return text
    try:
        found: str = json.loads(f'"{text}"', strict=False)
    except json.JSONDecodeError:
        return text
    return found


logfmt_format = partial(naming.named_format, fields)

LOGFMT = logfmt_format(
    "logfmt",
    description="key=value pairs, as Go programs write them, by usual names",
    example=b'time=2026-11-24T12:00:00Z level=info msg="user signed in" user=jane '
    b"remote_addr=203.0.113.9 duration=1.5ms",
)
