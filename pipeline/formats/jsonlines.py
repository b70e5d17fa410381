r"""JSON lines: an object per line, as nginx with `escape=json` and structured loggers write them.

Of equal names the last one counts, as in PostgreSQL's jsonb. `NaN`, `Infinity` and numbers that no double
holds are kept as text, and so are the escapes `\xHH` of nginx without `escape=json`.
"""

import json
import math
import re
from functools import partial
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats import naming
from pipeline.formats.fields import MAX_DIGITS, decode
from pipeline.formats.naming import MOST_LEVELS

#: A backslash and what it escapes: JSON has no `\x`.
ESCAPE = re.compile(r"\\(.)", re.DOTALL)

#: A longer number than this, in characters, is kept as text.
LONGEST_NUMBER = 400


#: Inside a JSON text a byte that is not UTF-8 has to come out as an escaped backslash.
ESCAPED_BYTES = {0xDC00 + byte: rf"\\x{byte:02x}" for byte in range(0x80, 0x100)}


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _float(digits: str) -> float | str:
    number = float(digits) if len(digits) <= LONGEST_NUMBER else math.inf
    return number if math.isfinite(number) else digits


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=str, strict=False)


def fields(line: bytes) -> dict[str, Any]:
    """Return the members of a line's object.

    Raises:
        RejectedLine: it is no JSON, no object, or nested more than MOST_LEVELS deep.
    """
    # What is no object is no record either way: it is not worth an escape of each byte by itself.
    is_object = line.lstrip().startswith(b"{")
    text = line.decode(errors="surrogateescape").translate(ESCAPED_BYTES) if is_object else decode(line)
    if is_object and "\\x" in text:
        text = ESCAPE.sub(lambda escape: rf"\\{escape[1]}" if escape[1] == "x" else escape[0], text)
    try:
        found, end = _decoder.raw_decode(text, len(text) - len(text.lstrip()))
    except json.JSONDecodeError as error:
        position = len(text[: error.pos].encode())
        raise RejectedLine(f"no JSON: {error.msg} at byte {position}", position) from None
    except RecursionError:
        raise _too_deep() from None
    if text[end:].strip():
        position = len(text[:end].encode())
        raise RejectedLine(f"expected the end of the line at byte {position}", position)
    if not isinstance(found, dict):
        raise RejectedLine("no JSON object", 0)
    if text.count("[") + text.count("{") > MOST_LEVELS and _deeper(found, MOST_LEVELS):
        raise _too_deep()
    return found


def _too_deep() -> RejectedLine:
    return RejectedLine(f"nested more than {MOST_LEVELS} deep")


def _deeper(value: object, levels: int) -> bool:
    """Return whether lists and objects are nested more than so many levels deep."""
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(part, levels - 1) for part in parts)


json_format = partial(naming.named_format, fields)

JSON = json_format(
    "json",
    description="JSON lines: nginx with escape=json, and structured loggers, by usual names",
    example=b'{"time": "2026-11-24T12:00:00+01:00", "remote_addr": "203.0.113.9", '
    b'"request": "GET /a?b=1 HTTP/1.1", "status": 200, "body_bytes_sent": 1386, '
    b'"request_time": 0.012, "trace": {"id": 7}}',
)
