"""Which records a question reads beside the counts, on both databases: never more than its range has."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, delete

from db import counting
from db.counted import Scope
from db.engine import transaction
from db.models import CleanRecord
from db.queries import answer
from db.store import CleanStore
from pipeline.batch import Batch, Source

SOURCE = Source("ab" * 16, "web-1", "/a.log", format="combined")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def lines() -> Iterator[bytes]:
    """Yield a line for each half hour of a day, and one at its noon and each minute beside it."""
    moments = {NOON + number * MINUTE for number in (*range(-720, 720, 30), -1, 1)}
    for moment in sorted(moments):
        stamp = moment.strftime("%d/%b/%Y:%H:%M:%S +0000")
        yield f'203.0.113.5 - - [{stamp}] "GET / HTTP/1.1" 200 5 "-" "-"\n'.encode()


@pytest.fixture(autouse=True)
def _counted(engine: Engine) -> None:
    CleanStore(engine).store(Batch(SOURCE, 0, b"".join(lines())))
    counting.count(engine)


@pytest.mark.parametrize(
    ("before", "after", "hits"), [(30, 30, 4), (1, 1, 2), (12 * 60, 12 * 60, 50), (11 * 60, 11 * 60, 46)]
)
def test_records_outside_of_a_range(engine: Engine, before: int, after: int, hits: int) -> None:
    """Of a short one around the middle of a day its own records are read, not the rest of the day."""
    scope = Scope(NOON - before * MINUTE, NOON + after * MINUTE)
    assert answer(engine, "top_paths", scope).rows == [("/", hits, 5 * hits)]
    beside = (CleanRecord.timestamp < scope.since) | (CleanRecord.timestamp >= scope.until)
    with transaction(engine) as connection:
        connection.execute(delete(CleanRecord).where(beside))

    is_read = answer(engine, "top_paths", scope).rows != [("/", hits, 5 * hits)]

    # Of most of a day what it has too much is less, and is taken away.
    assert is_read == (before == 11 * 60)


def test_a_range_to_the_end_of_time(engine: Engine) -> None:
    """It is rounded to what there is."""
    for until in (datetime.max.replace(tzinfo=UTC), datetime(9999, 12, 31, 11, tzinfo=UTC)):
        scope = Scope(NOON - timedelta(days=1), until)
        assert answer(engine, "top_paths", scope).rows == [("/", 50, 250)]
        assert answer(engine, "totals", scope).rows == [(50, 250, 0, 0)]
