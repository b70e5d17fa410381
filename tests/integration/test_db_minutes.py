"""Counts by the minute on both databases: equal to the records, bounded, and right after an update."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from alembic import command
from sqlalchemy import Engine, bindparam, event, func, inspect, select, text, update

from db import counting, minutes, schema, sketches
from db.columns import Moment
from db.counted import Scope
from db.durations import LOWER_ENDS, middle_of
from db.engine import make_engine, reading, transaction
from db.minutes import TrafficLatencyMinute, TrafficVisitorMinute
from db.models import CleanRecord, Segment
from db.queries import answer
from db.store import CleanStore
from pipeline.batch import Batch, Source
from tests.recount import differences

SOURCE = Source("ab" * 16, "web-1", "/a.json", format="json")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - timedelta(days=2)
MINUTE = timedelta(minutes=1)
QUESTIONS = ("latency_by_minute", "visitors_by_minute")
TABLES = ("traffic_latency_minutes", "traffic_visitor_minutes")


def block(seed: int, first: datetime = FIRST, lines: int = 300) -> bytes:
    """Return requests of ten minutes that say how long they took."""
    rng = random.Random(seed)
    return b"".join(
        json.dumps({
            "time": (first + timedelta(seconds=600 * number // lines)).isoformat(),
            "remote_addr": f"203.0.113.{rng.randrange(100)}", "method": rng.choice(["GET", "GET", "POST"]),
            "path": "/", "status": rng.choice([200, 204, 404]), "host": rng.choice("ab") + ".example",
            "request_time": rng.lognormvariate(-2, 1.5), "upstream_response_time": rng.random(),
        }).encode() + b"\n"
        for number in range(lines)
    )  # fmt: skip


def store(engine: Engine, *blocks: bytes) -> None:
    """Store blocks one after the other, a segment each."""
    with reading(engine) as connection:
        start = connection.scalar(select(func.max(Segment.end_offset))) or 0
    for each in blocks:
        CleanStore(engine).store(Batch(SOURCE, start, each))
        start += len(each)


def keys(*blocks: bytes) -> int:
    """Return how many distinct keys of minutes each block has, added up."""
    found = [map(json.loads, each.splitlines()) for each in blocks]
    return sum(
        len({(line["time"][:16], line["host"], line["status"] // 100, line["method"]) for line in lines})
        for lines in found
    )


def answers(engine: Engine, first: datetime = FIRST) -> list[list[tuple[object, ...]]]:
    """Return the answers about minutes of ten minutes, the first and last of them in part."""
    scope = Scope(first + MINUTE / 2, first + 9.5 * MINUTE)
    return [answer(engine, name, scope).rows for name in QUESTIONS]


def stored(engine: Engine) -> tuple[int, int]:
    """Return how many rows of latencies and visitors there are."""
    with reading(engine) as connection:
        counts = (
            select(func.count()).select_from(each) for each in (TrafficLatencyMinute, TrafficVisitorMinute)
        )
        latencies, visitors = (connection.execute(each).scalar_one() for each in counts)
        return latencies, visitors


def blind(engine: Engine) -> None:
    """Let the records say that nothing took long, so that an answer shows what it was made of."""
    with transaction(engine) as connection:
        connection.execute(update(CleanRecord).values(duration_seconds=None))


def test_what_is_counted_is_not_read_from_the_records(engine: Engine) -> None:
    """Whole minutes come from the tables, the parts of others from the records."""
    store(engine, block(1))
    before = answers(engine)
    counting.count(engine)

    assert answers(engine) == before
    assert len(before[0]) == 10
    blind(engine)
    assert answers(engine)[0] == before[0][1:-1]


def test_records_that_go_are_taken_away(engine: Engine) -> None:
    """By negative hits at once; the visitors of their minutes are made anew by the next count."""
    store(engine, block(1), block(2))
    counting.count(engine)
    before = answers(engine)
    with reading(engine) as connection:
        first = connection.scalar(select(func.min(Segment.id)))
    assert first is not None

    counting.take_away_ahead(engine, [first])

    assert answers(engine) == before
    counting.count(engine)
    assert answers(engine) == before
    assert differences(engine, [1]) == []


def test_rows_of_one_minute_are_made_one(engine: Engine) -> None:
    """Counted in parts there are several; compacted there is one for each key, and what is zero is gone."""
    for seed in (1, 2, 3):
        store(engine, block(seed))
        counting.count(engine)
    before = answers(engine)
    blocks = [block(seed) for seed in (1, 2, 3)]
    assert stored(engine) == (2 * keys(*blocks), keys(*blocks))

    counting.compact(engine)

    whole = keys(b"".join(blocks))
    assert stored(engine) == (2 * whole, whole) < (2 * keys(*blocks), keys(*blocks))
    assert answers(engine) == before
    assert differences(engine, [1]) == []


def test_minutes_with_several_rows_of_a_key_are_found_by_an_index(postgresql_url: str) -> None:
    """Those of an hour at once, of which no more is read; those of no host too."""
    engine, plans = make_engine(postgresql_url), []
    store(engine, *(block(seed).replace(b'"host": "a.example", ', b"") for seed in (1, 2)))
    counting.count(engine)
    for table in TABLES:
        with transaction(engine) as connection:
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM {table}"))

    def explain(*given: Any) -> None:
        cursor, statement, parameters = given[1:4]
        if statement.startswith("DELETE") and ".minute IN (" in statement:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("".join(row[0] for row in cursor.fetchall()))

    before = answers(engine)
    event.listen(engine, "before_cursor_execute", explain)

    counting.compact(engine)

    assert [plan.count("Index Cond") for plan in plans] == [1, 1]
    assert [plan.count(f"minute <= '{FIRST + 9 * MINUTE:%Y-%m-%d %H:%M}") for plan in plans] == [1, 1]
    assert answers(engine)[1] == before[1]
    engine.dispose()


def test_older_days_are_forgotten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these the hours stay, and a question about their minutes reads the records."""
    store(engine, block(1))
    counting.count(engine)
    before = answers(engine)
    hours = answer(engine, "latency_by_hour", Scope(FIRST, TODAY)).rows
    monkeypatch.setattr(minutes, "KEPT", timedelta(0))

    assert answers(engine) == before
    counting.compact(engine)

    assert stored(engine) == (0, 0)
    assert answers(engine) == before
    assert answer(engine, "latency_by_hour", Scope(FIRST, TODAY)).rows == hours


def test_lines_of_long_ago_have_no_minutes(engine: Engine) -> None:
    """Not when they are counted by tallies, nor by SQL; questions have the same answer."""
    first = TODAY - minutes.KEPT - timedelta(days=3)
    store(engine, block(1, first))
    before = answers(engine, first)

    counting.count(engine)
    assert (stored(engine), answers(engine, first)) == ((0, 0), before)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET is_counted = FALSE"))
    counting.count(engine)
    assert stored(engine) == (0, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_tally_of_an_older_version_is_counted_by_sql(engine: Engine, version: int) -> None:
    """It says nothing of minutes, or not all: everything of its segment is counted from the records, once."""
    store(engine, block(1), block(2))
    older = msgpack.packb([version, b"no part of today's"])
    with transaction(engine) as connection:
        first = connection.scalar(select(func.min(Segment.id)))
        connection.execute(update(Segment).where(Segment.id == first).values(tally=older))
    before = answers(engine)

    counting.count(engine)

    assert answers(engine) == before
    assert differences(engine, [1]) == []


@pytest.mark.parametrize("older", ["0012", "0013"])
def test_after_an_update_minutes_are_read_from_the_records_at_first(engine: Engine, older: str) -> None:
    """What an older version counted has no minutes, or fewer keys: the migration says from when on there are.

    An older process may still count some.
    """
    store(engine, block(1))
    before = answers(engine)
    if older == "0013":
        counting.count(engine)
    with transaction(engine) as connection:
        command.downgrade(schema._config(connection), older)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET is_counted = TRUE"))
        command.upgrade(schema._config(connection), "head")
    with transaction(engine) as connection:
        for table, column, content in (
            ("traffic_latency_minutes (part, ", "histogram", minutes.packed({1: 1})),
            ("traffic_visitor_minutes (", "sketch", sketches.packed_places({1: 1})),
        ):
            part = "'duration', " if "part" in table else ""
            values = text(
                f"INSERT INTO {table}minute, source_id, {column}) VALUES ({part}:minute, 1, :content)"
            )
            connection.execute(values.bindparams(bindparam("minute", FIRST, Moment)), {"content": content})

    assert answers(engine) == before
    with reading(engine) as connection:
        since = minutes.answered_since(connection, datetime.now(UTC))
    assert since == TODAY + timedelta(days=2)
    counting.compact(engine)
    assert answers(engine) == before


def test_an_older_version_adds_the_keys_up(engine: Engine) -> None:
    """Taken back, rows are what several segments left in the version before, of one source and host."""
    store(engine, block(1))
    counting.count(engine)
    before = stored(engine)

    with transaction(engine) as connection:
        command.downgrade(schema._config(connection), "0013")

    histograms: list[dict[int, int]] = []
    with reading(engine) as connection:
        columns = {
            table: [each["name"] for each in inspect(connection).get_columns(table)] for table in TABLES
        }
        query = text("SELECT histogram FROM traffic_latency_minutes WHERE part = 'duration'")
        histograms = [minutes.unpacked(bytes(each)) for each in connection.scalars(query)]
        visitors = connection.scalar(text("SELECT count(*) FROM traffic_visitor_minutes"))
    assert columns == {
        "traffic_latency_minutes": ["minute", "source_id", "part", "host", "histogram"],
        "traffic_visitor_minutes": ["minute", "source_id", "sketch"],
    }
    assert (sum(sum(each.values()) for each in histograms), visitors) == (300, before[1])


def test_a_new_database_knows_all_minutes(engine: Engine) -> None:
    """Nothing was counted before."""
    with reading(engine) as connection:
        assert minutes.answered_since(connection, datetime.now(UTC)) == TODAY - minutes.KEPT


@pytest.mark.parametrize("count", [0, 1, sketches.MOST_PLACES, sketches.MOST_PLACES + 1, 4000])
def test_a_sketch_of_few_or_many(count: int) -> None:
    """Stored as its places or as its registers, it is the same."""
    found, more = (
        sketches.places(sketches.sketch(sketches.place(str(number)) for number in numbers))
        for numbers in (range(count), range(3, 50))
    )

    assert sketches.places(sketches.unpacked(sketches.packed_places(found))) == found
    assert len(sketches.packed_places(found)) < 2000
    both = [sketches.packed_places(each) for each in (found, more)]
    merged = sketches.merged([sketches.sketch(each.items()) for each in (found, more)])
    assert sketches.unpacked(*both) == merged
    told = sketches.estimate_packed(both)
    assert told == sketches.estimate(merged) == pytest.approx(max(count, 47 + min(count, 3)), rel=0.05)


def test_buckets_have_numbers() -> None:
    """In the order of their ends, each with the middle that SQL tells of it."""
    assert sorted(set(LOWER_ENDS)) == LOWER_ENDS
    assert [middle_of(number) for number in (0, 63, 64, 96)] == [0.0, 63e-6, 65e-6, 130e-6]
    histogram = {1151: 3, 0: -2, 700: 1 << 40}
    assert minutes.unpacked(minutes.packed(histogram)) == histogram
    assert minutes.added([histogram, {0: 2, 5: 1}]) == {1151: 3, 700: 1 << 40, 5: 1}
