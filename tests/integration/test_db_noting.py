"""Findings noted while someone else changes them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from db.engine import make_engine, transaction
from db.findings import findings
from db.news import news
from db.noting import note
from pipeline.detect.sighting import Sighting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: How many sessions wait for this one.
WAITING = text("""
    SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
""")


def notice(engine: Engine) -> None:
    """Note a finding, or more of it."""
    seen = Sighting("security", "xss", "medium", "192.0.2.1", NOW, NOW, 1, "a script")
    with transaction(engine) as connection:
        note(connection, None, [seen], NOW)


def test_what_is_told_while_more_of_it_is_noted(postgresql_url: str) -> None:
    """Is told once: who notes waits for who tells, and does not write back that nobody was told."""
    engine = make_engine(postgresql_url)
    notice(engine)
    with ThreadPoolExecutor() as threads:
        with transaction(engine) as connection:
            assert len(news(connection, NOW, is_told=True)) == 1
            noting = threads.submit(notice, engine)
            while not connection.execute(WAITING).scalar():
                assert not noting.done()
        noting.result()

    with transaction(engine) as connection:
        assert news(connection, NOW, is_told=True) == []
    assert [each.count for each in findings(engine)] == [2]
    engine.dispose()
