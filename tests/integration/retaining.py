"""Two sources stored over a hundred days, rules for them, and what is left of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select, text

from db import retention
from db.audit import audit
from db.counting import count
from db.engine import reading, transaction
from db.expiry import Expiry
from db.models import CleanRecord, RawLog, RejectedLine
from db.retention import expire
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines
from pipeline.retention import Kept, Retention

ONE, TWO = Source("aa" * 16, "web-1", "/log/one", format="combined"), Source("bb" * 16, "web-1", "/log/two")
NOW = datetime.now(UTC)
BROKEN = b"no \xff log line\n"


def block(seed: int) -> bytes:
    """Return twelve lines, the fifth and the last two of which do not parse."""
    lines = list(generate_lines(9, seed=seed))
    return b"".join([*lines[:4], BROKEN, *lines[4:], BROKEN, BROKEN])


BLOCKS = [block(seed) for seed in range(4)]
STARTS = [sum(map(len, BLOCKS[:index])) for index in range(5)]
#: Days since each of the blocks was stored.
AGES = (100, 60, 10, 0)


def fill(engine: Engine) -> None:
    """Store the blocks of two sources in both stages, as if on their days, and count them."""
    for source in (ONE, TWO):
        for index, content in enumerate(BLOCKS):
            for stage in (LakeStore(engine), CleanStore(engine)):
                stage.store(Batch(source, STARTS[index], content))
    with transaction(engine) as connection:
        for start, end, days in zip(STARTS, STARTS[1:], AGES, strict=False):
            at = NOW - timedelta(days=days)
            for model in (RawLog, CleanRecord, RejectedLine):
                place = (model.line_start >= start) & (model.line_start < end)
                connection.execute(model.__table__.update().where(place).values(stored_on=at.date()))
            moved = "UPDATE segments SET stored_at = :at WHERE start_offset = :start"
            value = at if connection.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
            connection.execute(text(moved), {"at": value, "start": start})
    count(engine)


def expired(engine: Engine, rules: str, **options: Any) -> Expiry:
    """Remove what rules say is old enough."""
    kept = Retention.parse(rules)
    return expire(engine, lambda path, table: kept.days(path, Kept(table)), **options)


def rows(engine: Engine, source_id: int = 1) -> dict[str, int]:
    """Return the rows of each table of a source."""
    with reading(engine) as connection:
        return {
            name: connection.execute(
                select(func.count()).select_from(model).where(model.source_id == source_id)
            ).scalar_one()
            for name, model in retention.TABLES.items()
        }


def complete(engine: Engine) -> bool:
    """Tell whether the deep audit passes."""
    ends = {source.key: STARTS[-1] for source in (ONE, TWO)}
    return audit(engine, ends, deep=True).complete and audit(engine, ends).complete


def figures(report: Expiry, source_id: int = 1) -> dict[str, tuple[int, int, int]]:
    """Return segments, lines and bytes that went of each stage of a source."""
    return {
        each.stage: (each.segments, each.lines, each.bytes)
        for each in report.gone
        if each.source_id == source_id
    }
