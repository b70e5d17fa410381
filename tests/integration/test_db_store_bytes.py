"""Any bytes, cut anywhere, into both stages and back from the lake, on both databases."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from db import ledger
from db.audit import audit
from db.engine import reading, transaction
from db.models import Source
from db.rebuild import LakeGap, held_bytes, rebuild
from db.store import CleanStore, LakeStore
from tests.integration.storing import LINE, make_batch, rebuilt

BYTES = st.binary(max_size=8) | st.sampled_from([b"\n", b"\0", b"\xff\n", "é\n".encode(), LINE])


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Draw a file and ranges of it, cut anywhere, that cover it in some order, some more than once."""
    content = b"".join(draw(st.lists(BYTES, min_size=1, max_size=12))) or b"x"
    cuts = sorted({0, len(content), *draw(st.lists(st.integers(0, len(content)), max_size=5))})
    tiles = [pair for pair in pairwise(cuts) if pair[0] < pair[1]]
    extra = draw(st.lists(st.tuples(st.integers(0, len(content)), st.integers(0, len(content))), max_size=5))
    ranges = tiles + [(min(pair), max(pair)) for pair in extra if pair[0] != pair[1]]
    return content, draw(st.permutations(ranges))


@pytest.fixture(scope="module")
def serial() -> Iterator[int]:
    """Numbers for sources that share a database."""
    return iter(range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delivered=deliveries())
def test_any_split_gives_the_file_once(
    engine: Engine, serial: Iterator[int], delivered: tuple[bytes, list[tuple[int, int]]]
) -> None:
    """However a file is cut, repeated and reordered, each stage holds each byte once."""
    content, ranges = delivered
    key = f"{next(serial):032x}"
    lake, clean = LakeStore(engine), CleanStore(engine)
    new = {lake: 0, clean: 0}
    for start, end in ranges:
        for store in (lake, clean):
            stored = store.store(make_batch(content[start:end], start, key, "combined"))
            new[store] += stored.new_bytes
            assert (stored.new_bytes + stored.known_bytes, stored.conflict_bytes) == (end - start, 0)

    assert {lake: len(content), clean: len(content)} == new
    with reading(engine) as connection:
        source_id = connection.execute(select(Source.id).where(Source.key == key)).scalar_one()
        assert [(0, len(content))] == ledger.ranges(connection, source_id, "clean")
    assert content == rebuilt(engine, source_id)


HOSTILE = (
    b"nul\0inside\n",
    b"\xff\xfe not utf-8 \xe9\n",
    b"\xed\xa0\x80 surrogate\n",
    "line\u2028separators\x85\x0b\x0c\r\n".encode(),
    b"\n",
    b"\r\n",
    b"\\N\t\\.\n",
    b"a" * (1 << 20) + b"\n",
    b"\xff" * (1 << 20) + b"\n",
    b"no newline at the end",
)


def test_any_bytes_come_back(engine: Engine) -> None:
    """Lines that are not text, or have no newline, come back from the lake and are kept as rejected lines."""
    lake, clean = LakeStore(engine), CleanStore(engine)
    position = 0
    for block in [*HOSTILE, b"".join(HOSTILE)]:
        count = len(HOSTILE) if block.startswith(HOSTILE[0] + HOSTILE[1]) else 1
        assert lake.store(make_batch(block, position)).lines == count
        assert clean.store(make_batch(block, position)).rejected == count
        position += len(block)

    assert b"".join(HOSTILE) * 2 == rebuilt(engine)
    assert audit(engine, None, deep=True).complete


@pytest.mark.parametrize("damage", ["DELETE FROM raw_logs WHERE line_start = 0", "DELETE FROM raw_logs"])
def test_rebuild_stops_where_rows_are_missing(engine: Engine, damage: str) -> None:
    """A segment whose rows are not its bytes is named, and nothing stands in its place."""
    LakeStore(engine).store(make_batch(LINE * 3))
    with transaction(engine) as connection:
        connection.execute(text(damage))

    with pytest.raises(LakeGap) as caught:
        rebuilt(engine)
    assert caught.value.missing == [(0, 3 * len(LINE))]
    with reading(engine) as connection:
        assert held_bytes(connection, 1, len(LINE), 2 * len(LINE)) is None


def test_rebuild_refuses_a_gap(engine: Engine) -> None:
    """A range with a missing byte is refused before anything is given, naming what is missing."""
    store = LakeStore(engine)
    store.store(make_batch(LINE, start=0))
    store.store(make_batch(LINE, start=2 * len(LINE)))

    with pytest.raises(LakeGap) as caught:
        next(rebuild(engine, 1))

    assert [(len(LINE), 2 * len(LINE))] == caught.value.missing
    assert LINE[5:] == b"".join(rebuild(engine, 1, 5, len(LINE)))
