"""The clean stage replayed on both databases: ranges replaced by what a changed format makes of them."""

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.cleaned import Choice, clean_ranges
from db.difference import preview
from db.engine import reading, transaction
from db.replay import Tally
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from tests.integration.changed_format import (
    FIRST,
    KEY,
    RAISED,
    SIZE,
    SOURCE,
    SetFormat,
    agents,
    failing,
    raised,
    replayed,
    rows,
    segments,
    store,
)


def test_a_replay_gives_what_a_first_ingestion_gives(engine: Engine, formats: SetFormat) -> None:
    """Rows, counts and audit are those of a source that the new version read first."""
    store(engine)
    formats(raised())

    tally = replayed(engine)

    assert tally == Tally(2, 0, lines=5, records=3, rejected=2, newly_parsed=1, newly_rejected=1)
    assert segments(engine) == [(3, 2, 1, "combined", RAISED), (2, 1, 1, "combined", RAISED)]
    assert audit(engine, {KEY: SIZE}, deep=True).complete
    found = sorted(rows(engine), key=str)
    with transaction(engine) as connection:
        for rest in ("clean_records", "rejected_lines", "segments WHERE stage = 'clean'"):
            connection.execute(text(f"DELETE FROM {rest}"))
    store(engine, (CleanStore,))
    assert sorted(rows(engine), key=str) == found


def test_what_is_of_today_is_skipped(engine: Engine, formats: SetFormat) -> None:
    """A second replay has nothing to do, unless it is told to do all."""
    store(engine)
    assert replayed(engine) == Tally(0, 2)
    formats(raised())
    replayed(engine)

    assert replayed(engine) == Tally(0, 2)
    assert replayed(engine, Choice(redo=True)) == Tally(2, 0, lines=5, records=3, rejected=2)
    assert audit(engine, None, deep=True).complete


def test_an_interrupted_replay_goes_on(engine: Engine, formats: SetFormat) -> None:
    """An error in the second range leaves the first replaced, the second as it was; another run ends it."""
    store(engine)
    before = segments(engine)
    formats(raised(failing))
    with pytest.raises(RuntimeError):
        replayed(engine)

    assert segments(engine) == [(3, 2, 1, "combined", RAISED), before[1]]
    assert agents(engine) == ["AGENT", "AGENT", "second", "refuse"]
    assert audit(engine, None, deep=True).complete
    formats(raised())
    tally = replayed(engine)
    assert (tally.replaced, tally.skipped) == (1, 1)
    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    assert audit(engine, None, deep=True).complete


def test_a_dry_run_tells_and_writes_nothing(engine: Engine, formats: SetFormat) -> None:
    """The difference is counted by column with examples, and no row or segment is another one."""
    store(engine)
    old = rows(engine), segments(engine)
    formats(raised())

    found = preview(engine, list_sources(engine)[0], Choice())

    assert found.tally == Tally(2, 0, lines=5, records=3, rejected=2, newly_parsed=1, newly_rejected=1)
    assert list(found.changed) == ["user_agent"]
    change = found.changed["user_agent"]
    assert (change.count, change.examples) == (2, [("agent", "AGENT"), ("second", "SECOND")])
    assert (rows(engine), segments(engine)) == old
    assert replayed(engine) == found.tally
    assert preview(engine, list_sources(engine)[0], Choice()).tally == Tally(0, 2)


def test_the_same_version_changes_nothing(engine: Engine) -> None:
    """A dry run of everything with the version that made the rows finds no difference in any column."""
    store(engine)

    found = preview(engine, list_sources(engine)[0], Choice(redo=True))

    assert (found.tally.replaced, found.tally.newly_parsed, found.tally.newly_rejected) == (2, 0, 0)
    assert found.changed == {}


def test_another_format_becomes_the_sources(engine: Engine) -> None:
    """A named format reads every range, and stands in the source afterwards."""
    store(engine, source=Source(KEY, "web-1", "/log", format="common"))
    assert agents(engine) == []

    tally = replayed(engine, Choice(named="combined"))

    assert (tally.replaced, tally.newly_parsed) == (2, 3)
    assert agents(engine) == ["agent", "second", "refuse"]
    assert list_sources(engine)[0].format == "combined"
    assert audit(engine, None, deep=True).complete


def test_a_range_without_bytes_stays(engine: Engine, formats: SetFormat) -> None:
    """What the lake does not hold, or holds with other bytes, is left as it is and counted."""
    store(engine, (CleanStore,))
    LakeStore(engine).store(Batch(SOURCE, 0, b"#" * (len(FIRST) - 1) + b"\n"))
    old = rows(engine)
    formats(raised())

    for tally in (replayed(engine), preview(engine, list_sources(engine)[0], Choice()).tally):
        assert (tally.unavailable, tally.replaced) == (2, 0)
        assert tally.first_unavailable == [(0, len(FIRST)), (len(FIRST), SIZE)]
    assert rows(engine) == old


def test_since_takes_what_was_stored_later(engine: Engine, formats: SetFormat) -> None:
    """Ranges that the clean stage stored before the moment are not looked at."""
    store(engine)
    moment = max(each.stored_at for each in clean_ranges(engine, 1, Choice()))
    formats(raised())

    assert replayed(engine, Choice(since=moment)).ranges == 1
    assert agents(engine) == ["agent", "SECOND"]


def test_rows_of_another_day_are_found(engine: Engine, formats: SetFormat) -> None:
    """Rows whose day is not their segment's are replaced too, and lie in today's partition afterwards."""
    store(engine)
    with transaction(engine) as connection:
        for table in ("clean_records", "rejected_lines"):
            connection.execute(text(f"UPDATE {table} SET stored_on = '2020-01-01'"))
    formats(raised())

    replayed(engine)

    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    assert audit(engine, None, deep=True).complete
    with reading(engine) as connection:
        old = connection.execute(text("SELECT count(*) FROM clean_records WHERE stored_on < '2021-01-01'"))
        assert old.scalar() == 0


def test_a_source_without_a_format_is_recognised_anew(engine: Engine) -> None:
    """Where no format was recognised, the bytes are looked at again, and nothing changes while none fits."""
    LakeStore(engine).store(Batch(Source(KEY, "web-1", "/log"), 0, b"nothing\n"))
    CleanStore(engine).store(Batch(Source(KEY, "web-1", "/log"), 0, b"nothing\n"))

    assert replayed(engine) == Tally(0, 1)
    assert preview(engine, list_sources(engine)[0], Choice()).tally == Tally(0, 1)
