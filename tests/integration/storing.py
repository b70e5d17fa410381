"""Batches of one source to store, and what is stored of them."""

from sqlalchemy import Engine, func, select

from db.engine import reading
from db.rebuild import rebuild
from pipeline import batch as envelope
from pipeline.batch import Batch
from pipeline.generate import generate_lines

#: Each test with a source of its own name starts at byte 0 of nothing.
KEY = "ab" * 16
LINE = b'203.0.113.9 - jane [17/May/2015:10:05:03 +0200] "GET /a?x=1 HTTP/1.1" 404 2048 "-" "agent"\n'


def make_source(key: str = KEY, path: str = "/var/log/access.log", format_: str = "auto") -> envelope.Source:
    """Return a source."""
    return envelope.Source(key=key, host="web-1", path=path, inode=(1 << 64) - 1, format=format_)


def make_batch(block: bytes = LINE, start: int = 0, key: str = KEY, format_: str = "auto") -> Batch:
    """Return a batch of a source."""
    return Batch(make_source(key, format_=format_), start, block)


def make_block(count: int = 50, seed: int = 1) -> bytes:
    """Return lines of the combined format."""
    return b"".join(line.removesuffix(b"\n") + b"\n" for line in generate_lines(count, seed=seed))


def rebuilt(engine: Engine, source_id: int = 1) -> bytes:
    """Return what the lake holds of a source."""
    return b"".join(rebuild(engine, source_id))


def count_rows(engine: Engine, model: type) -> int:
    """Return the number of rows of a table."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(model)).scalar_one()
