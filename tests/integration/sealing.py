"""Two sources sealed, and what is broken of their chains."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from db import seals
from db.engine import transaction
from db.store import CleanStore, LakeStore
from db.unbroken import ChainReport, Kept, verify
from pipeline.batch import Batch, Source

ONE, TWO = Source("aa" * 16, "web-1", "/log/one"), Source("bb" * 16, "web-1", "/log/one.1", generation=1)
BLOCK = b"one line\nand another\n"
SIZE = len(BLOCK)
KEY, OTHER = b"k" * 32, b"o" * 32
SOON = timedelta(seconds=5)


def store(engine: Engine, source: Source, *numbers: int) -> None:
    """Store blocks of a source in both stages, by their place in it."""
    for stage in (LakeStore(engine), CleanStore(engine)):
        for number in numbers:
            stage.store(Batch(source, number * SIZE, BLOCK))


def close(engine: Engine, *keys: bytes) -> int:
    """Seal everything that is stored."""
    return seals.close(engine, keys, datetime.now(UTC) + SOON)


def damage(engine: Engine, statement: str) -> None:
    """Do to the tables what no one should."""
    with transaction(engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def broken(engine: Engine, *keys: bytes, kept: Kept | None = None) -> list[tuple[str, int, int, str]]:
    """Return what is broken: key, bytes in blocks, and what is wrong."""
    found = verify(engine, keys, kept).breaks
    return [(each.key[:2], each.start // SIZE, each.end // SIZE, each.what) for each in found]


def heads(report: ChainReport) -> Kept:
    """Return heads as they are kept elsewhere."""
    return {head.key: [(head.end, head.hash)] for head in report.heads}


def fill(engine: Engine) -> None:
    """Store four segments of each source, and seal the first two and the others."""
    for numbers in ((0, 1), (2, 3)):
        for source in (ONE, TWO):
            store(engine, source, *numbers)
        assert close(engine, KEY) == 2
