"""A replay in slices on both databases: what a lower version has read is read again, without a person."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from db.audit import audit
from db.cleaned import Choice
from db.engine import reading, transaction
from db.slices import Order, replay_slice
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.formats.ncsa import COMBINED
from tests.integration.changed_format import (
    FIRST,
    RAISED,
    SECOND,
    SIZE,
    SetFormat,
    agents,
    raised,
    rows,
    segments,
    store,
)

RISEN = Order(Choice(risen=True))


def in_slices(engine: Engine, order: Order | None = RISEN) -> list[tuple[int, int, int]]:
    """Follow an order in the shortest slices; return the replaced, skipped and unavailable ranges of each."""
    found = []
    while order is not None:
        done = replay_slice(engine, CleanStore(engine), order, seconds=0)
        found.append((done.tally.replaced, done.tally.skipped, done.tally.unavailable))
        order = done.rest and Order.decode(done.rest.encode())
    return found


def test_a_rejected_line_is_a_record_once_the_version_has_risen(engine: Engine, formats: SetFormat) -> None:
    """What version 1 rejects and version 2 reads is a record after the replay that nobody asked for."""
    store(engine)
    late = FIRST.index(b"203", 1)
    assert agents(engine) == ["agent", "second", "refuse"]
    formats(raised())

    assert in_slices(engine) == [(1, 0, 0), (1, 0, 0), (0, 0, 0)]

    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    with reading(engine) as connection:
        paths = connection.execute(
            text("SELECT path FROM clean_records WHERE line_start = :at"), {"at": late}
        )
        assert paths.scalars().all() == ["/late"]
    assert audit(engine, None, deep=True).complete


def test_every_row_has_the_format_and_version_of_its_segment(engine: Engine, formats: SetFormat) -> None:
    """After the first slice one segment and its rows carry the new version, the other still the old one."""
    store(engine)
    formats(raised())

    replay_slice(engine, CleanStore(engine), RISEN, seconds=0)

    assert [made_by[-2:] for made_by in segments(engine)] == [
        ("combined", RAISED),
        ("combined", COMBINED.version),
    ]
    found = {(row[0] < len(FIRST), row[1], row[2]) for row in rows(engine)}
    assert found == {(True, "combined", RAISED), (False, "combined", COMBINED.version)}


def test_nothing_is_done_while_no_version_has_risen(engine: Engine, formats: SetFormat) -> None:
    """Neither today's version nor a higher one, of a worker that is newer, is read again."""
    formats(raised())
    store(engine)
    old = rows(engine)

    assert in_slices(engine) == [(0, 0, 0)]
    formats(COMBINED)
    assert in_slices(engine) == [(0, 0, 0)]
    assert rows(engine) == old


def test_what_the_lake_lacks_is_not_tried_each_time(engine: Engine, formats: SetFormat) -> None:
    """A range that does not begin in the lake is not looked at, the one behind it is read again."""
    store(engine, (CleanStore,))
    LakeStore(engine).store(Batch(Source("ef" * 16, "web-1", "/log"), len(FIRST), SECOND))
    formats(raised())

    assert in_slices(engine) == [(1, 0, 0), (0, 0, 0)]
    assert agents(engine) == ["agent", "SECOND"]


def test_an_order_goes_through_its_sources(engine: Engine, formats: SetFormat) -> None:
    """Slices go on behind the last range of a source with the next one, and leave out the others."""
    for number in range(3):
        store(engine, source=Source(f"{number}{number}" * 16, "web-1", f"/{number}", format="combined"))
    formats(raised())

    assert in_slices(engine, Order(Choice(), sources=(3, 1))) == [(1, 0, 0)] * 4 + [(0, 0, 0)]
    assert agents(engine).count("agent") == 1
    assert in_slices(engine) == [(1, 0, 0)] * 2 + [(0, 0, 0)]
    assert agents(engine).count("agent") == 0
    assert audit(engine, None, deep=True).complete


def test_a_slice_that_is_done_twice_changes_nothing(engine: Engine, formats: SetFormat) -> None:
    """The same order delivered again skips what it has done."""
    store(engine)
    formats(raised())
    order = Order(Choice())
    replay_slice(engine, CleanStore(engine), order, seconds=60)
    first = rows(engine)

    done = replay_slice(engine, CleanStore(engine), order, seconds=60)

    assert (done.tally.replaced, done.tally.skipped, done.rest) == (0, 2, None)
    assert rows(engine) == first


def test_a_deep_place_is_found_again(engine: Engine, formats: SetFormat) -> None:
    """A slice that begins behind the last range ends at once."""
    store(engine)
    formats(raised())

    done = replay_slice(engine, CleanStore(engine), replace(RISEN, place=(1, SIZE)), seconds=60)

    assert (done.tally.ranges, done.rest) == (0, None)


def test_an_order_travels_as_plain_values() -> None:
    """What is encoded for a message is decoded to the same order, moments included."""
    now = datetime.now(UTC)
    order = Order(Choice(now, "combined", redo=True), (7, 9), (7, 1 << 40), now)

    assert Order.decode(order.encode()) == order
    assert str(order) == f"as ordered, from source 7 at byte {1 << 40} on"


def test_a_segment_without_a_format_is_left(engine: Engine, formats: SetFormat) -> None:
    """Where no version is noted, none has risen."""
    store(engine)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET format_id = NULL"))
    formats(raised())

    assert in_slices(engine) == [(0, 0, 0)]
