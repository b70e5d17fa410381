"""The two columns that hold a line: `line` for people, `raw` where that is not all of it."""

from collections.abc import Iterator

#: Most bytes of a line that its readable form shows when `raw` holds the whole.
HEAD_BYTES = 8 << 10


def plain_text(block: bytes) -> str | None:
    """Return a block as text if every line of it is its own UTF-8 text and a newline, else None.

    NUL is valid UTF-8, but PostgreSQL's text cannot hold it.
    """
    if not block.endswith(b"\n") or b"\0" in block:
        return None
    try:
        return block.decode()
    except UnicodeDecodeError:
        return None


def is_plain(block: bytes) -> bool:
    """Return whether every line of a block is its own UTF-8 text and a newline, without making that text."""
    if block.isascii():
        return block.endswith(b"\n") and b"\0" not in block
    return plain_text(block) is not None


def readable(line: bytes) -> str:
    r"""Return a line as text that both databases take: what is not UTF-8, and NUL, is written as `\xHH`."""
    return line.decode(errors="backslashreplace").replace("\0", "\\x00")


def split(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the start in the block, and the bytes with the newline, of each line."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start) + 1 or len(block)
        yield start, block[start:end]
        start = end


def columns(line: bytes) -> tuple[str, bytes | None]:
    """Return `line` and `raw` of the bytes of a line, newline included where there is one."""
    if plain_text(line) is not None:
        return line[:-1].decode(), None
    return readable(line.removesuffix(b"\n")[:HEAD_BYTES]), line


def original(line: str, raw: bytes | memoryview | None) -> bytes:
    """Return the bytes of a line from its two columns."""
    return line.encode() + b"\n" if raw is None else bytes(raw)
