"""The counts for reports equal a recount of the records, whatever was counted, deleted and replaced."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import counting, roles
from db.cleaned import Choice
from db.counted import Scope
from db.engine import make_engine, reading, transaction
from db.queries import QUERIES, answer
from db.replay import replay
from db.resolve import Keep, resolve
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source

SOURCE = Source("ab" * 16, "web-1", "/a.log", format="combined")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
#: Offsets from SINCE in hours: three days, of which the first and the last are not whole in `SCOPES`.
HOURS = (0, 0.5, 1, 23.99, 24, 30, 47.5, 48, 50, 71)
SCOPES = {
    "whole days": Scope(SINCE, SINCE + timedelta(days=3)),
    "parts of days": Scope(SINCE + timedelta(hours=0.75), SINCE + timedelta(hours=49.25)),
    "within a minute": Scope(SINCE + timedelta(seconds=1), SINCE + timedelta(seconds=40)),
    "one source": Scope(SINCE, SINCE + timedelta(days=3), source_id=1),
}


def block(first: int, size: int = 5) -> bytes:
    """Return lines with a path, a status and a size that differ."""
    made = []
    for number in range(4 * len(HOURS)):
        stamp = (SINCE + timedelta(hours=HOURS[number // 4], seconds=7 * number)).strftime(
            "%d/%b/%Y:%H:%M:%S"
        )
        status, path = (200, 404, 500, 302)[(number + first) % 4], f"/{(number + first) % 3}"
        made.append(
            f'203.0.113.{number % 5} - - [{stamp} +0000] "GET {path} HTTP/1.1" {status} {size} "-" "a"\n'
        )
    return "".join(made).encode()


def store(engine: Engine, content: bytes, start: int = 0) -> int:
    """Store a block as one segment of both stages; return where it ends."""
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(SOURCE, start, content))
    return start + len(content)


def answers(engine: Engine) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return the answer to every question that counts records, for every scope.

    Durations and visitors have tests of their own (test_db_rollups.py).
    """
    others = ("rejected", "lines", "latency", "upstream", "slowest", "visitors")
    names = [name for name in QUERIES if not name.startswith(others)]
    return {
        (name, what): answer(engine, name, scope).rows for name in names for what, scope in SCOPES.items()
    }


def recounted(engine: Engine) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return the answers from the records alone."""
    with transaction(engine) as connection:
        for table in roles.COUNTS:
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE segments SET is_counted = FALSE"))
    return answers(engine)


def test_answers_do_not_change_by_counting(engine: Engine) -> None:
    """Nothing counted, one segment counted, both counted: every question has the same answer."""
    end = store(engine, block(0))
    before = answers(engine)

    assert counting.count(engine) == 1
    assert answers(engine) == before
    store(engine, block(1), end)
    half = answers(engine)
    assert counting.count(engine) == 1
    assert answers(engine) == half != before
    assert recounted(engine) == half


def test_counted_once(engine: Engine) -> None:
    """A second count finds nothing to do and changes no answer."""
    store(engine, block(0))
    counting.count(engine)
    first = answers(engine)

    assert counting.count(engine) == 0
    assert answers(engine) == first


def test_a_replay_takes_the_old_records_away(engine: Engine) -> None:
    """Records that a replay replaces leave the counts, and its own enter them with the next count."""
    store(engine, block(0))
    counting.count(engine)
    before = answers(engine)

    replay(engine, list_sources(engine)[0], Choice(redo=True))

    assert answers(engine) == before
    assert counting.count(engine) == 1
    assert answers(engine) == before == recounted(engine)


def test_counts_taken_away_ahead_are_made_up_for(engine: Engine) -> None:
    """Some segments out of the counts before they are replaced: no answer changes, nor by a second time."""
    end = store(engine, block(0))
    end = store(engine, block(1), end)
    store(engine, block(2), end)
    counting.count(engine)
    before = answers(engine)
    with reading(engine) as connection:
        ids = list(connection.scalars(text("SELECT id FROM segments WHERE stage = 'clean' ORDER BY id")))

    for _ in range(2):
        counting.take_away_ahead(engine, [ids[0], ids[2]])
        assert answers(engine) == before
    assert counting.count(engine) == 2
    assert answers(engine) == before == recounted(engine)


@pytest.mark.parametrize("keep", [Keep.FIRST, Keep.SECOND])
def test_a_resolved_conflict(engine: Engine, keep: Keep) -> None:
    """What the resolving of a conflict deletes leaves the counts."""
    store(engine, block(0))
    counting.count(engine)
    store(engine, block(2, size=7))

    resolve(engine, 1, keep)
    now = answers(engine)
    counting.count(engine)

    assert answers(engine) == now == recounted(engine)
    sizes = 7 if keep is Keep.SECOND else 5
    assert sum(row[2] for row in now["bytes_by_hour", "whole days"]) == sizes * 4 * len(HOURS)


def test_rows_with_one_key_are_added_up(engine: Engine) -> None:
    """Of the days before the newest one each key has one row, however many segments counted into it."""
    end = 0
    for number in range(3):
        end = store(engine, block(number), end)
        counting.count(engine)
    counting.compact(engine)

    with reading(engine) as connection:
        keys = connection.execute(text("SELECT kind, day, source_id, value, status FROM traffic_days")).all()
        minutes = connection.execute(
            text("SELECT minute, source_id, status, rest_method, host FROM traffic_minutes")
        ).all()
    newest = max(key.day for key in keys)
    assert max(Counter(key for key in keys if key.day != newest).values()) == 1
    assert max(Counter(minutes).values()) == 1


def test_nothing_is_counted_by_two_at_once(postgresql_url: str) -> None:
    """While another transaction counts, a count finds nothing to do."""
    engine = make_engine(postgresql_url)
    store(engine, block(0))
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": counting.COUNT_LOCK})
        assert counting.count(engine) == 0
    assert counting.count(engine) == 1
    engine.dispose()
