"""The parts of page and report answer the same on both databases, and as counting the lines does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from db import counting, overview
from db.engine import make_engine, transaction
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import PipelineError
from pipeline.report.figures import Period, Rows, Selection
from pipeline.report.page import PARTS

SINCE = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source("ab" * 16, "web-1", "/var/log/access.log", format="combined")
#: Minutes after SINCE, path and status.
LINES = [
    (0, "/a", 200),
    (0, "/a", 200),
    (1, "/a", 404),
    (30, "/b", 500),
    (59, "/<b>", 200),
    (26 * 60, "/z", 200),
]
BROKEN = b"no <i>log</i> line\n"

Ask = Callable[..., Rows]


def line(fields: tuple[int, str, int]) -> bytes:
    """Return a line of the combined format."""
    minute, path, status = fields
    stamp = (SINCE + timedelta(minutes=minute)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'203.0.113.9 - - [{stamp}] "GET {path} HTTP/1.1" {status} 10 "-" "curl/8"\n'.encode()


@pytest.fixture(params=["fresh", "counted"])
def ask(engine: Engine, request: pytest.FixtureRequest) -> Ask:
    """Asks a part of LINES, of which clean lacks the last source; read from records, and from counts."""
    block = b"".join(map(line, LINES)) + BROKEN
    LakeStore(engine).store(Batch(SOURCE, 0, block))
    CleanStore(engine).store(Batch(SOURCE, 0, block))
    LakeStore(engine).store(Batch(Source("cd" * 16, "web-2", "/b.log"), 0, b"x\n"))
    if request.param == "counted":
        counting.count(engine)
    parts = overview.parts(engine, dict)

    def asked(part: str, minutes: int = 60, source_id: int | None = None) -> Rows:
        period = Period(SINCE, SINCE + timedelta(minutes=minutes))
        return parts[part](Selection(period, source_id))

    return asked


def test_traffic(ask: Ask) -> None:
    """Each minute has its classes, of the period alone; over more than three days each hour has."""
    minutes = ask("traffic").rows
    hours = ask("traffic", minutes=5000).rows

    assert minutes == [
        (SINCE + timedelta(minutes=minute), status_class, hits)
        for minute, status_class, hits in ((0, 2, 2), (1, 4, 1), (30, 5, 1), (59, 2, 1))
    ]
    assert hours == [(SINCE, 2, 3), (SINCE, 4, 1), (SINCE, 5, 1), (SINCE + timedelta(hours=26), 2, 1)]


def test_rankings(ask: Ask) -> None:
    """An hour is exact, more is of whole days."""
    assert ask("paths").rows == [("/a", 3, 30), ("/<b>", 1, 10), ("/b", 1, 10)]
    assert [row[0] for row in ask("paths", minutes=61).rows] == ["/a", "/<b>", "/b"]
    assert [row[0] for row in ask("paths", minutes=26 * 60).rows] == ["/a", "/<b>", "/b", "/z"]
    assert ask("errors").rows == [("/a", 404, 1), ("/b", 500, 1)]
    assert ask("agents").rows == [("curl/8", 5, 50)]
    assert ask("addresses").rows == [("203.0.113.9", 5, 50)]


def test_the_newest_record(ask: Ask) -> None:
    """It says where a range ends that would be empty otherwise; a source without records has none."""
    assert ask("clock").rows == [(SINCE + timedelta(hours=26),)]
    assert ask("clock", source_id=2).rows == [(None,)]


def test_sources_and_what_is_missing(ask: Ask) -> None:
    """The source that clean lacks is two bytes short, known since the lake has stored them."""
    rows = {row["path"]: row for row in ask("sources").named()}
    lake, clean = ask("missing").named()

    assert rows["/b.log"]["lake_bytes"] == 2
    assert rows["/b.log"]["clean_bytes"] == 0
    assert (lake["stage"], lake["missing_bytes"], lake["oldest_seconds"]) == ("lake", 0, 0.0)
    assert (clean["stage"], clean["missing_bytes"]) == ("clean", 2)
    assert 0 < clean["oldest_seconds"] < 60


def test_rates(ask: Ask) -> None:
    """Lines stored of late, by second and stage."""
    found = ask("rates").named()
    lines = {
        stage: sum(row["lines"] for row in found if row["stage"] == stage) for stage in ("lake", "clean")
    }

    assert lines == {"lake": len(LINES) + 2, "clean": len(LINES) + 1}
    assert all(timedelta() <= datetime.now(UTC) - row["second"] < timedelta(minutes=2) for row in found)


def test_rejected_lines(ask: Ask) -> None:
    """By signature, the first line with its place."""
    (group,) = ask("rejected").named()

    assert (group["count"], group["path"], group["line"]) == (1, SOURCE.path, BROKEN.rstrip())
    assert group["line_start"] == len(b"".join(map(line, LINES)))


@pytest.mark.parametrize("part", sorted({*PARTS} - {"queues", "watched", "dead"}))
def test_every_part_of_an_empty_database_has_no_row(engine: Engine, part: str) -> None:
    """But for the totals, which are zero."""
    found = overview.parts(engine, dict)[part](Selection(Period(SINCE, SINCE + timedelta(days=1))))

    assert found.columns
    assert found.rows == ([("lake", 0, 0, 0.0, 0), ("clean", 0, 0, 0.0, 0)] if part == "missing" else [])


def test_an_engine_of_readers_cannot_write(database_url: str) -> None:
    """Neither PostgreSQL nor SQLite takes a change from it."""
    engine = make_engine(database_url, readers=2)

    with pytest.raises(PipelineError, match=r"read-?only"), transaction(engine) as connection:
        connection.execute(text("DELETE FROM sources"))
    engine.dispose()


def test_bytes_visitors_and_countries(ask: Ask) -> None:
    """Bytes by minute, visitors of the hours that are touched, and an address of no country."""
    assert [row[2] for row in ask("volume").rows] == [20, 10, 10, 10]
    assert ask("visitors").rows == [(1,)]
    assert ask("visitors", minutes=60 * 24 * 60).rows == []
    assert ask("countries").columns == ("country", "hits", "bytes")


@pytest.mark.parametrize(("minutes", "count"), [(60, 2), (600, 1), (60 * 24 * 20, 1)])
def test_latency(engine: Engine, minutes: int, count: int) -> None:
    """By minute, by hour, by day: wherever lines have durations."""
    lines = [
        b'{"time": "2026-03-01T10:%02d:00Z", "status": 200, "path": "/s", "request_time": 0.25}\n' % minute
        for minute in (0, 0, 7)
    ]
    CleanStore(engine).store(Batch(Source("ab" * 16, "w", "/j.log", format="json"), 0, b"".join(lines)))
    parts = overview.parts(engine, dict)
    selection = Selection(Period(SINCE, SINCE + timedelta(minutes=minutes)))
    found = parts["latency"](selection).named()

    assert len(found) == count
    assert sum(row["hits"] for row in found) == 3
    assert all(row["p50"] == pytest.approx(0.25, rel=0.02) for row in found)
    (slow,) = parts["slow"](selection).named()
    assert (slow["path"], slow["hits"]) == ("/s", 3)
