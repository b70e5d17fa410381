"""Tallies of segments equal a recount of their records by SQL: of every format, on both databases."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import counting, minutes, roles, sketches, tally
from db.engine import reading, transaction
from db.faults import ValuesRefused
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.enrich.enrichment import Enrichment
from pipeline.formats import FORMATS
from pipeline.generate import HOSTILE, generate_lines
from tests.recount import differences
from tests.unit.test_formats_conformance import corpus, line_of
from tests.unit.test_formats_mutated import mutated

#: Lines at the edges of what counts: sizes, durations, addresses, times long ago and far ahead.
ODD = (
    b'::1 - - [31/Dec/1969:23:59:59 +0000] "GET / HTTP/1.1" 200 -1 "-" "-"',
    b'::5 - - [01/Jan/0001:00:00:00 +0000] "GET / HTTP/1.1" 200 9223372036854775807 "-" "-"',
    b'::ffff:192.0.2.1 - x [31/Dec/9999:23:59:59 +0000] "GET / HTTP/1.1" 999 1099511627776 "-" "\xff"',
    b'host.example - - [01/Jan/2026:00:00:00 +0000] "GET /a HTTP/1.1" - - "-" "-"',
    b'- - jane [01/Jan/2026:00:00:00 +0000] "GET http://a.example/a HTTP/1.1" 200 1 "-" "-"',
    b'{"time":"2026-01-01T00:00:00Z","duration_seconds":1e300,"status":-32768,"bytes":-5}',
    b'{"time":"2026-01-01T00:00:00Z","duration_seconds":-0.0000001,"host":"a","server_name":"b"}',
    b'{"time":"2026-01-01T00:00:00Z","duration_seconds":0.0000005,"upstream_seconds":1000000}',
    b'{"time":"2026-01-01T00:00:00.999999Z","duration_seconds":0.000128,"path":"/\\u00e9","user":"u"}',
    b'{"time":"2026-01-01T00:00:00Z","duration_seconds":0.5,"status":-150,"user":"u"}',
)


@pytest.fixture(autouse=True)
def _minutes_of_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes, "KEPT", timedelta(days=366_000))


def lines(name: str) -> Iterator[bytes]:
    """Yield lines of a format: its corpus, generated ones, damaged ones, and those of nobody."""
    rng = random.Random(name)
    own = [FORMATS[name].example, *(line_of(each) for each in corpus().get(name, []))]
    if name in ("combined", "common", "proxy"):
        own += [line.rstrip(b"\n") for line in generate_lines(300, seed=3, format=name)]
    yield from own
    yield from (mutated(own, rng) for _ in range(60))
    yield from HOSTILE
    yield from ODD


def contents(engine: Engine) -> dict[str, Any]:
    """Return all that is counted, rows with one key as one."""
    of_minutes = ", ".join(minutes.KEYS)
    keys = {
        "traffic_minutes": ("minute, source_id, status, rest_method, host", "hits, bytes"),
        "traffic_days": ("day, source_id, kind, value, status", "hits, bytes, timed, microseconds"),
        "traffic_latencies": ("hour, source_id, part, host, bucket", "hits"),
        "traffic_visitors": ("hour, source_id, sketch", "1"),
        "traffic_latency_minutes": (f"{of_minutes}, part, histogram", "1"),
        "traffic_visitor_minutes": (f"{of_minutes}, sketch", "1"),
    }
    found = {}
    with reading(engine) as connection:
        for table, (key, measures) in keys.items():
            sums = ", ".join(f"sum({measure})" for measure in measures.split(", "))
            query = f"SELECT {key}, {sums} FROM {table} GROUP BY {key}"
            rows = [
                tuple(bytes(v) if isinstance(v, memoryview) else v for v in r)
                for r in connection.execute(text(query))
            ]
            found[table] = sorted(rows if "sketch" not in key else _places(rows), key=repr)
    return found


def _places(rows: list[Any]) -> list[Any]:
    """Return rows with what their sketches say, however these are stored."""
    return [
        tuple(sketches.unpacked(value) if isinstance(value, bytes) else value for value in row)
        for row in rows
    ]


def recount(engine: Engine) -> dict[str, Any]:
    """Return what SQL counts of the records."""
    with transaction(engine) as connection:
        for table in roles.COUNTS:
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE segments SET is_counted = FALSE, tally = NULL"))
    counting.count(engine)
    return contents(engine)


def tallies(engine: Engine) -> int:
    """Return how many segments have a tally."""
    with reading(engine) as connection:
        return connection.scalar(text("SELECT count(*) FROM segments WHERE tally IS NOT NULL")) or 0


def test_every_format(engine: Engine) -> None:
    """Sources of every format, and one that mixes them, in several batches each."""
    store = CleanStore(engine, Enrichment(("address", "agent")))
    segments = 0
    for number, name in enumerate([*sorted(FORMATS), "auto"]):
        own = list(lines("combined" if name == "auto" else name))
        if name == "auto":
            own += [FORMATS[each].example for each in sorted(FORMATS)]
        start = 0
        for at in range(0, len(own), 150):
            block = b"".join(line.replace(b"\n", b"") + b"\n" for line in own[at : at + 150])
            store.store(Batch(Source(f"{number:032x}", "web-1", f"/{name}.log", format=name), start, block))
            start, segments = start + len(block), segments + 1
    assert tallies(engine) == segments > len(FORMATS)

    assert counting.count(engine) == segments
    told = contents(engine)

    assert tallies(engine) == 0
    assert all(told.values())
    assert differences(engine, range(1, len(FORMATS) + 2)) == []
    assert told == recount(engine)


def test_refused_values_are_counted_by_sql(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that was loaded carefully has no tally; its records are counted, the refused line is not."""
    store = CleanStore(engine)
    load, refused = store._loader.load_records, []

    def once(*args: Any) -> None:
        if not refused:
            refused.append(True)
            raise ValuesRefused("no")
        load(*args)

    monkeypatch.setattr(store._loader, "load_records", once)
    block = b"".join(generate_lines(50, seed=5))
    store.store(Batch(Source("ab" * 16, "web-1", "/a.log", format="combined"), 0, block))

    assert (refused, tallies(engine)) == ([True], 0)
    counting.count(engine)
    told = contents(engine)
    assert sum(row[-2] for row in told["traffic_minutes"]) == 50
    assert told == recount(engine)


def test_a_trimmed_batch(engine: Engine) -> None:
    """Of a batch that is partly stored already only what is new counts."""
    block = b"".join(generate_lines(90, seed=5))
    ends = [at + 1 for at, byte in enumerate(block) if byte == ord("\n")]
    source = Source("ab" * 16, "web-1", "/a.log", format="combined")
    CleanStore(engine).store(Batch(source, ends[29], block[ends[29] : ends[59]]))
    for _ in range(2):
        CleanStore(engine).store(Batch(source, 0, block))

    assert tallies(engine) == 3
    counting.count(engine)
    told = contents(engine)
    assert sum(row[-2] for row in told["traffic_minutes"]) == 90
    assert told == recount(engine)


def test_what_is_remembered_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting its fields before every batch, a counter counts the same."""
    monkeypatch.setattr(tally, "KEPT_BYTES", 0)
    store, start = CleanStore(engine), 0
    source = Source("ab" * 16, "web-1", "/a.log", format="combined")
    for seed in (1, 2):
        block = b"".join(generate_lines(200, seed=seed))
        store.store(Batch(source, start, block))
        start += len(block)

    counting.count(engine)
    assert contents(engine) == recount(engine)
