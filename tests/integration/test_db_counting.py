"""Counting beside someone else who counts, on PostgreSQL; SQLite has one writer."""

from sqlalchemy import text

from db import counting
from db.engine import make_engine, transaction
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.formats.ncsa import COMBINED


def test_nothing_is_counted_by_two_at_once(postgresql_url: str) -> None:
    """While another transaction counts, a count finds nothing to do."""
    engine = make_engine(postgresql_url)
    source = Source("ab" * 16, "web-1", "/a.log", format=COMBINED.name)
    CleanStore(engine).store(Batch(source, 0, COMBINED.example + b"\n"))
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": counting.COUNT_LOCK})
        assert counting.count(engine) == 0
    assert counting.count(engine) == 1
    engine.dispose()
