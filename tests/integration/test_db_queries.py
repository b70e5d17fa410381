"""The named questions answer the same on both databases, and as counting the lines does."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.counted import Scope
from db.queries import BY_MINUTES, QUERIES, Answer, answer
from db.store import CleanStore
from pipeline.batch import Batch, Source

SINCE = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
#: Seconds after SINCE, address, path, status, size and agent of each line.
LINES = [
    (0, "203.0.113.1", "/a", 200, 100, "one"),
    (59, "203.0.113.1", "/a", 404, 10, "one"),
    (60, "203.0.113.2", "/b", 500, 20, "two"),
    (61, "203.0.113.2", "/b", 500, 30, "one"),
    (3600, "203.0.113.1", "/a", 304, 0, "two"),
    (7200, "2001:db8::1", "/late", 200, 1 << 40, "two"),
]
BROKEN = b"no log line\n"


def line(fields: tuple[int, str, str, int, int, str]) -> bytes:
    """Return a line of the combined format."""
    second, address, path, status, size, agent = fields
    stamp = (SINCE + timedelta(seconds=second)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{address} - - [{stamp}] "GET {path} HTTP/1.1" {status} {size} "-" "{agent}"\n'.encode()


@pytest.fixture
def asked(engine: Engine) -> Callable[..., Answer]:
    """Asks a question of LINES in a first source, and of one line in a second one."""
    store = CleanStore(engine)
    block = b"".join(line(fields) for fields in LINES) + BROKEN
    store.store(Batch(Source("ab" * 16, "web-1", "/a.log", format="combined"), 0, block))
    store.store(Batch(Source("cd" * 16, "web-2", "/b.log", format="combined"), 0, line(LINES[0])))

    def ask(name: str, hours: float = 24, **scope: Any) -> Answer:
        return answer(engine, name, Scope(SINCE, SINCE + timedelta(hours=hours), **scope))

    return ask


def test_status_classes(asked: Callable[..., Answer]) -> None:
    """Each minute and each hour has its classes with their hits, of one source."""
    minutes = asked("status_classes_by_minute", hours=1, source_id=1)

    assert minutes.columns == ("minute", "status_class", "hits")
    assert minutes.rows == [(SINCE, 2, 1), (SINCE, 4, 1), (SINCE + timedelta(minutes=1), 5, 2)]
    hours = asked("status_classes_by_hour", hours=2, source_id=1).rows
    assert hours == [(SINCE, 2, 1), (SINCE, 4, 1), (SINCE, 5, 2), (SINCE + timedelta(hours=1), 3, 1)]


def test_traffic_by_hour(asked: Callable[..., Answer]) -> None:
    """Hits and bytes of each hour, of all sources, in order of time or the busiest first."""
    first, second, third = (SINCE + timedelta(hours=number) for number in range(3))

    assert asked("bytes_by_hour").rows == [(first, 5, 260), (second, 1, 0), (third, 1, 1 << 40)]
    assert asked("busiest_hours", limit=1).rows == [(first, 5, 260)]


@pytest.mark.parametrize(("name", "field"), [("top_addresses", 1), ("top_paths", 2), ("top_agents", 5)])
def test_the_top_of_a_column(asked: Callable[..., Answer], name: str, field: int) -> None:
    """Values are ranked by their hits, ties by the value, each with its bytes."""
    hits, sizes = Counter(), Counter()  # type: ignore[var-annotated]
    for fields in LINES:
        hits[fields[field]] += 1
        sizes[fields[field]] += fields[4]
    ranked = sorted(hits, key=lambda value: (-hits[value], value))

    assert asked(name, source_id=1).rows == [(value, hits[value], sizes[value]) for value in ranked]
    assert len(asked(name, source_id=1, limit=1).rows) == 1


def test_errors_by_path(asked: Callable[..., Answer]) -> None:
    """Only errors count, each status of a path by itself."""
    assert asked("errors_by_path").rows == [("/b", 500, 2), ("/a", 404, 1)]


def test_what_goes_by_the_day_of_storing(asked: Callable[..., Answer], engine: Engine) -> None:
    """Rejected lines and stored lines are counted by when they were stored."""
    now = datetime.now(UTC)
    today = Scope(now - timedelta(hours=1), now + timedelta(hours=1))
    ((reason, lines),) = answer(engine, "rejected_by_reason", today).rows
    by_day = answer(engine, "lines_by_day", today).rows

    assert (reason.startswith("expected"), lines) == (True, 1)
    assert [row[1:] for row in by_day] == [(1, 7, 6, 1), (2, 1, 1, 0)]
    assert {row[0] for row in by_day} <= {now.date(), (now - timedelta(hours=1)).date()}
    assert asked("lines_by_day", hours=1).rows == []


@pytest.mark.parametrize("name", QUERIES)
def test_an_empty_range_is_an_empty_answer(asked: Callable[..., Answer], engine: Engine, name: str) -> None:
    """Where nothing was logged or stored the answer has its columns and no row."""
    long_ago = datetime(1999, 1, 1, tzinfo=UTC)
    empty = answer(engine, name, Scope(long_ago, long_ago + timedelta(days=1)))

    assert empty.columns
    assert empty.rows == []


def test_every_question_of_minutes_is_in_the_documents() -> None:
    """With them goes for which days minutes are kept."""
    named = re.findall(r"`(\w+)`", (Path(__file__).parents[2] / "docs" / "insight.md").read_text())

    assert BY_MINUTES.keys() <= set(named)
