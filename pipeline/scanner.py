"""The compiled inner loops (scan.c), where they were built: their calls, with the arrays of numpy.

`make` builds them where there is a C compiler. Without them every block takes the way of Python, with equal
results (parse.py).
"""

import ctypes
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("scan.c")


class DictionaryStruct(ctypes.Structure):
    """`struct dictionary` of scan.c."""

    _fields_ = (
        ("slots", ctypes.c_void_p),
        ("entries", ctypes.c_void_p),
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("seed", ctypes.c_uint64),
        ("mask", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("room", ctypes.c_uint32),
        ("used", ctypes.c_uint32),
    )


class ScannerStruct(ctypes.Structure):
    """`struct scanner` of scan.c."""

    _fields_ = (
        ("steps", ctypes.c_void_p),
        ("sets", ctypes.c_void_p),
        ("captures", ctypes.c_void_p),
        ("width", ctypes.c_int32),
        ("longest", ctypes.c_int32),
    )


_WHERE, _NUMBER, _BYTES = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "sluice_scan": (
        _NUMBER,
        (_WHERE, _WHERE, _BYTES, _NUMBER, _NUMBER, ctypes.POINTER(_NUMBER), _WHERE, _WHERE),
    ),
    "sluice_values_size": (_NUMBER, (_WHERE, ctypes.c_int32, _WHERE, _NUMBER)),
    "sluice_rows": (
        None,
        (_WHERE, ctypes.c_int32, _WHERE, _WHERE, _NUMBER, _NUMBER, _BYTES, _NUMBER, _WHERE),
    ),
    "sluice_newlines": (_NUMBER, (_BYTES, _NUMBER)),
    "sluice_line_rows": (None, (_BYTES, _NUMBER, _NUMBER, _BYTES, _NUMBER, _WHERE)),
}


def place() -> Path:
    """Return where .ci/scanner puts the compiled loops: named by their source, so that no old one is loaded.

    Raises:
        OSError: the source cannot be read.
    """
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    return SOURCE.with_name(f"_scan-{digest[:12]}.so")


@cache
def library() -> Any:
    """Return the compiled functions, None where they were not built for this machine."""
    try:
        found = ctypes.CDLL(str(place()))
    except OSError:
        return None
    for name, (returns, takes) in _SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = returns, takes
    return found


def newlines(block: bytes) -> int:
    """Return how many newlines a block has."""
    functions = library()
    if functions is None:
        return block.count(b"\n")
    count: int = functions.sluice_newlines(block, len(block))
    return count


def line_rows(block: bytes, origin: int, head: bytes) -> bytes | None:
    """Return a row for each line of a block; None without the compiled functions.

    A row is `head`, the line's offset in the source as eight bytes, its length as four, and its bytes without
    the newline; `origin` is the block's offset.
    """
    functions = library()
    if functions is None:
        return None
    ends = newlines(block)
    lines = ends + (not block.endswith(b"\n") and bool(block))
    rows = ctypes.create_string_buffer(len(block) - ends + lines * (len(head) + 8 + 4))
    functions.sluice_line_rows(block, len(block), origin, head, len(head), rows)
    return rows.raw
