"""The look for drifts over stored lines, on both databases: what it finds, keeps and goes on from."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

import pytest
from sqlalchemy import Engine, text

from db import drifting
from db.cleaned import Choice
from db.drifts import count_noticed, noticed
from db.engine import make_engine, reading
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_blocks

SOURCE = Source("ab" * 16, "web-1", "/a.log", format="combined")
#: Lines before the change and after it.
BEFORE, AFTER = 25_000, 5_000
SECONDS = 60


@cache
def blocks(broken: float = 0.0) -> tuple[bytes, ...]:
    """Return blocks of 5,000 lines, in the last of which a share of the lines is hostile."""
    parts = (generate_blocks(BEFORE, seed=1), generate_blocks(AFTER, seed=1, broken=broken))
    return tuple(b"".join(lines) for part in parts for lines in part)


def store(engine: Engine, parts: Iterable[bytes], start: int = 0) -> int:
    """Store each block as a segment of both stages; return where the last one ends."""
    for block in parts:
        for stage in (LakeStore, CleanStore):
            stage(engine).store(Batch(SOURCE, start, block))
        start += len(block)
    return start


def test_a_change_is_noticed_with_its_place_and_lines(engine: Engine) -> None:
    """Lines that stop to parse are a drift from about the byte where that began, with examples of them."""
    changed = sum(len(block) for block in blocks()[: BEFORE // 5000])
    end = store(engine, blocks(0.2))

    (found,) = drifting.look(engine, SECONDS)

    assert found.kind == "rejected"
    assert abs(found.start - changed) < end * 1000 / (BEFORE + AFTER)
    first = found.changes[0]
    assert (first["name"], first["before"]) == ("rejected: lines", 0)
    assert first["after"] == pytest.approx(0.2 * 7 / 14, abs=0.05)
    assert len(found.examples["before"]) == len(found.examples["after"]) == 3
    assert noticed(engine) == [found]
    assert count_noticed(engine, datetime(2026, 1, 1, tzinfo=UTC)) == 1


def test_every_source_is_looked_at(engine: Engine) -> None:
    """Sources that come later, and lines that come later, are looked at by the next look, each once."""
    block = b"".join(blocks()[0].splitlines(keepends=True)[:10])
    for number in range(3):
        CleanStore(engine).store(Batch(Source(f"{number:032x}", "web-1", f"/{number}.log"), 0, block))
        drifting.look(engine, SECONDS)
    CleanStore(engine).store(Batch(Source(f"{0:032x}", "web-1", "/0.log"), len(block), block))
    drifting.look(engine, SECONDS)

    with reading(engine) as connection:
        states = connection.execute(text("SELECT position FROM drift_states ORDER BY source_id"))
        assert [row.position for row in states] == [2 * len(block), len(block), len(block)]


def test_lines_of_one_kind_are_no_drift(engine: Engine) -> None:
    """Lines like those before are none."""
    store(engine, blocks())

    assert drifting.look(engine, SECONDS) == []


def test_many_looks_find_what_one_does(engine: Engine) -> None:
    """A look after each segment, by a process that begins anew, notices the same at the same place."""
    end, found = 0, []
    for block in blocks(0.2):
        end = store(engine, [block], end)
        found += drifting.look(engine, SECONDS)
    (again,) = drifting.look_again(engine, 1)

    assert [(each.kind, each.start, each.end) for each in found] == [(again.kind, again.start, again.end)]
    assert found[0].changes[0] == again.changes[0]
    assert drifting.look(engine, SECONDS) == []


def test_a_gap_is_waited_for(engine: Engine) -> None:
    """What lies behind a fresh gap is looked at once the gap is filled."""
    parts = blocks()
    starts = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    store(engine, [parts[0]])
    store(engine, [parts[2]], starts[2])
    drifting.look(engine, SECONDS)
    assert position(engine) == starts[1]

    store(engine, [parts[1]], starts[1])
    drifting.look(engine, SECONDS)

    assert position(engine) == starts[2] + len(parts[2])


def position(engine: Engine) -> int:
    """Return how far the source was looked at."""
    with reading(engine) as connection:
        return int(connection.execute(text("SELECT position FROM drift_states")).scalar_one())


def test_a_replay_is_no_drift(engine: Engine) -> None:
    """Ranges that are read again do not bring their drifts a second time."""
    store(engine, blocks(0.2))
    drifting.look(engine, SECONDS)

    replay(engine, list_sources(engine)[0], Choice(redo=True))

    assert drifting.look(engine, SECONDS) == []
    assert len(noticed(engine)) == 1


def test_of_two_at_once_one_keeps(database_url: str) -> None:
    """A look that another one overtakes keeps nothing."""
    engine, other = make_engine(database_url), make_engine(database_url)
    store(engine, blocks(0.2))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM drift_states")).scalar_one() == 0
        assert len(drifting.look(other, SECONDS)) == 1
    assert drifting.look(engine, SECONDS) == []
    assert len(noticed(engine)) == 1
    engine.dispose()
    other.dispose()
