"""The table that the questions of reports are timed on is what a real load of so many lines leaves."""

from sqlalchemy import func, select

from bench.queries import fill
from db import ledger
from db.engine import make_engine, reading
from db.ledger import CLEAN
from db.models import CleanRecord, Segment
from db.queries import answer


def test_copies_follow_each_other(postgresql_url: str) -> None:
    """Copied lines continue the source without a gap or an overlap, and the scopes hold all of them."""
    engine = make_engine(postgresql_url)
    scopes = fill(engine, 300, stored_lines=100)

    hours = answer(engine, "bytes_by_hour", scopes["all"]).rows
    stored = answer(engine, "lines_by_day", scopes["all"]).rows
    with reading(engine) as connection:
        places, times = connection.execute(
            select(
                func.count(CleanRecord.line_start.distinct()), func.count(CleanRecord.timestamp.distinct())
            )
        ).one()
        end = connection.execute(select(func.max(Segment.end_offset))).scalar_one()

        assert ledger.gaps(connection, 1, CLEAN, end) == []
    assert (places, sum(row[1] for row in hours), sum(row[2] for row in stored)) == (300, 300, 300)
    assert times % 3 == 0
    engine.dispose()
