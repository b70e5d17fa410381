"""Counts of minutes by host, class of statuses and method: right whatever happens, on both databases."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select, text

from db import counting
from db.cleaned import Choice
from db.counted import Scope
from db.engine import reading, transaction
from db.erasure import erase
from db.erasure_search import Search
from db.ledger import CLEAN
from db.minutes import TrafficLatencyMinute, TrafficVisitorMinute
from db.queries import BY_MINUTES, answer
from db.removals import Kind as Removal
from db.removals import Place
from db.removing import Reason, remove
from db.replay import replay
from db.resolve import Keep, resolve
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.subject import Kind, Subject, subject
from tests.integration.test_db_minutes import FIRST, MINUTE, SOURCE, block
from tests.recount import differences

BLOCK = block(1)
HALF = BLOCK.index(b"\n", len(BLOCK) // 2) + 1
#: As long as the first half, but its lines are others.
OTHER = BLOCK[:HALF].replace(b'"status": 200', b'"status": 503').replace(b"a.example", b"c.example")
SCOPE = Scope(FIRST, FIRST + 10 * MINUTE)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOST, ADDRESS = subject(Kind.TEXT, "b.example"), subject(Kind.IP, "203.0.113.7")


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with two counted segments of one source."""
    for start, each in ((0, BLOCK[:HALF]), (HALF, BLOCK[HALF:])):
        for stage in (LakeStore, CleanStore):
            stage(engine).store(Batch(SOURCE, start, each))
    counting.count(engine)
    return engine


def deliver_again(engine: Engine) -> None:
    """Deliver both segments again, and a batch with other bounds."""
    for start in (0, HALF, HALF // 2):
        begin = BLOCK.index(b"\n", start) + 1 if start not in (0, HALF) else start
        CleanStore(engine).store(Batch(SOURCE, begin, BLOCK[begin:]))


def read_again(engine: Engine) -> None:
    """Replay the source."""
    assert replay(engine, list_sources(engine)[0], Choice(redo=True)).replaced == 2


def contradict(engine: Engine) -> None:
    """Let another content take the place of the first segment."""
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(SOURCE, 0, OTHER))
    resolve(engine, 1, Keep.SECOND)


def erasing(who: Subject) -> Callable[[Engine], None]:
    """Return what erases a subject."""

    def erased(engine: Engine) -> None:
        assert erase(engine, Search(who), uuid.uuid4(), NOW).left == {}

    return erased


HAPPENINGS = {
    "redelivery": deliver_again,
    "replay": read_again,
    "conflict": contradict,
    "erasure of an address": erasing(ADDRESS),
    "erasure of a host": erasing(HOST),
}


@pytest.mark.parametrize("happening", HAPPENINGS)
@pytest.mark.parametrize("is_compacted", [False, True])
def test_counts_are_those_of_the_records(filled: Engine, happening: str, is_compacted: bool) -> None:
    """Whatever happens to lines that are counted, a recount of the records finds the same."""
    if is_compacted:
        counting.compact(filled)

    HAPPENINGS[happening](filled)

    assert differences(filled, [1]) == []
    counting.compact(filled)
    assert differences(filled, [1]) == []


def test_an_erased_host_is_gone(filled: Engine) -> None:
    """From both tables, before anything is counted anew."""
    erasing(HOST)(filled)

    with reading(filled) as connection:
        for model in (TrafficLatencyMinute, TrafficVisitorMinute):
            assert set(connection.scalars(select(model.host))) == {"a.example"}


def test_records_that_are_too_old_stay_counted(filled: Engine) -> None:
    """Retention removes them, and the answers by the minute stay."""
    before = {name: answer(filled, name, SCOPE).rows for name in BY_MINUTES}
    with transaction(filled) as connection:
        remove(connection, Place(1, CLEAN), [(0, len(BLOCK))], Reason(Removal.RETENTION, NOW, None))

    counting.count(filled)
    counting.compact(filled)

    assert {name: answer(filled, name, SCOPE).rows for name in BY_MINUTES} == before
    assert all(before.values())
    with reading(filled) as connection:
        assert connection.scalar(text("SELECT count(*) FROM clean_records")) == 0


def test_a_host_for_each_line(engine: Engine) -> None:
    """Thousands of hosts in one batch are counted as few are."""
    count = 5000
    made = [
        {
            "time": (FIRST + number % 7 * MINUTE).isoformat(), "remote_addr": f"203.0.113.{number % 9}",
            "method": "GET", "status": 200 + number % 300, "host": f"h{number}.example", "request_time": 0.1,
        } for number in range(count)
    ]  # fmt: skip
    content = b"".join(json.dumps(each).encode() + b"\n" for each in made)
    CleanStore(engine).store(Batch(Source("cd" * 16, "web-1", "/b.json", format="json"), 0, content))

    assert differences(engine, [1]) == []
    assert (
        len(answer(engine, "visitors_by_host", Scope(SCOPE.since, SCOPE.until, limit=2 * count)).rows)
        == count
    )
    with reading(engine) as connection:
        for model in (TrafficLatencyMinute, TrafficVisitorMinute):
            assert len(set(connection.scalars(select(model.host)))) == count
