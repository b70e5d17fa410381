"""The clean stage replayed on both databases: ranges replaced by what a changed format makes of them."""

import dataclasses
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.cleaned import Choice, clean_ranges
from db.difference import preview
from db.engine import make_engine, reading, transaction
from db.rebuild import rebuild
from db.replay import Tally, replay
from db.resolve import Keep, resolve
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS
from pipeline.formats.base import Format, Group
from pipeline.formats.fields import common_time
from pipeline.formats.ncsa import COMBINED

KEY = "ef" * 16
SOURCE = Source(KEY, "web-1", "/log", format="combined")
Hook = Callable[[bytes], None]


def line(path: str, agent: str = "agent", day: int = 17) -> bytes:
    """Return a log line of the combined format."""
    time = f"{day}/May/2015:10:05:03 +0000"
    return f'203.0.113.9 - - [{time}] "GET {path} HTTP/1.1" 200 1 "-" "{agent}"\n'.encode()


#: The changed format parses the day that is none, and refuses one day that is.
FIRST = line("/one") + line("/late", day=32) + b"no log line!\n"
SECOND = line("/two", "second") + line("/bad", "refuse", day=13)
#: The version of the changed format.
RAISED = COMBINED.version + 1
BLOCKS = (FIRST, SECOND)
SIZE = len(FIRST) + len(SECOND)


def raised(hook: Hook | None = None) -> Format:
    """Return the next version of the combined format, which calls the hook with each new agent."""

    def agent(field: bytes) -> tuple[str]:
        if hook:
            hook(field)
        return (field.decode().upper(),)

    def time(field: bytes) -> tuple[Any, ...]:
        if field.startswith(b"13/"):
            raise RejectedLine("refused day", 0)
        return common_time(field.replace(b"32/", b"31/"))

    changed = {"user_agent": agent, "time": time}
    groups = [Group(g.name, g.columns, changed.get(g.name, g.convert)) for g in COMBINED.groups]
    return dataclasses.replace(COMBINED, version=RAISED, groups=tuple(groups))


def store(engine: Engine, stages: tuple[Any, ...] = (LakeStore, CleanStore), source: Source = SOURCE) -> None:
    """Store the blocks in stages, a segment each."""
    for stage in stages:
        start = 0
        for block in BLOCKS:
            stage(engine).store(Batch(source, start, block))
            start += len(block)


def replayed(engine: Engine, choice: Choice | None = None) -> Tally:
    """Replay the only source."""
    return replay(engine, list_sources(engine)[0], choice or Choice())


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    """Return every record and rejected line, but for its day and its number of the format."""
    columns = "r.line_start, f.name, f.version"
    join = "JOIN formats f ON f.id = r.format_id"
    records = f"SELECT {columns}, r.timestamp, r.path, r.user_agent FROM clean_records r {join}"
    rejected = f"SELECT {columns}, r.position, r.reason, r.line FROM rejected_lines r {join}"
    with reading(engine) as connection:
        return [tuple(row) for query in (records, rejected) for row in connection.execute(text(query))]


def agents(engine: Engine) -> list[str]:
    """Return the agents of the records in the order of the file."""
    with reading(engine) as connection:
        return list(connection.scalars(text("SELECT user_agent FROM clean_records ORDER BY line_start")))


def segments(engine: Engine) -> list[tuple[Any, ...]]:
    """Return the counts of the clean segments in order, with the format's version."""
    query = """
        SELECT s.line_count, s.record_count, s.rejected_count, f.name, f.version
        FROM segments s JOIN formats f ON f.id = s.format_id WHERE stage = 'clean' ORDER BY start_offset
    """
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Callable[[Format], None]:
    """A function that puts a format in the place of the built-in one."""
    return lambda format_: monkeypatch.setitem(FORMATS, format_.name, format_)


def test_a_replay_gives_what_a_first_ingestion_gives(
    engine: Engine, formats: Callable[[Format], None]
) -> None:
    """Rows, counts and audit are those of a source that the new version read first."""
    store(engine)
    formats(raised())

    tally = replayed(engine)

    assert tally == Tally(2, 2, 0, lines=5, records=3, rejected=2, newly_parsed=1, newly_rejected=1)
    assert segments(engine) == [(3, 2, 1, "combined", RAISED), (2, 1, 1, "combined", RAISED)]
    assert audit(engine, {KEY: SIZE}, deep=True).complete
    found = sorted(rows(engine), key=str)
    with transaction(engine) as connection:
        for rest in ("clean_records", "rejected_lines", "segments WHERE stage = 'clean'"):
            connection.execute(text(f"DELETE FROM {rest}"))
    store(engine, (CleanStore,))
    assert sorted(rows(engine), key=str) == found


def test_what_is_of_today_is_skipped(engine: Engine, formats: Callable[[Format], None]) -> None:
    """A second replay has nothing to do, unless it is told to do all."""
    store(engine)
    assert replayed(engine) == Tally(2, 0, 2)
    formats(raised())
    replayed(engine)

    assert replayed(engine) == Tally(2, 0, 2)
    assert replayed(engine, Choice(redo=True)) == Tally(2, 2, 0, lines=5, records=3, rejected=2)
    assert audit(engine, None, deep=True).complete


def test_an_interrupted_replay_goes_on(engine: Engine, formats: Callable[[Format], None]) -> None:
    """An error in the second range leaves the first replaced, the second as it was; another run ends it."""
    store(engine)
    before = segments(engine)

    def fail(agent: bytes) -> None:
        if agent == b"second":
            raise RuntimeError("no one foresaw this")

    formats(raised(fail))
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


def test_a_reader_sees_a_range_whole(engine: Engine, formats: Callable[[Format], None]) -> None:
    """While a range is replaced, others see all of its old rows; then all of its new ones."""
    store(engine)
    old, seen = rows(engine), []
    reader = make_engine(engine.url.render_as_string(hide_password=False))
    formats(raised(lambda agent: seen.append(rows(reader)) if agent == b"agent" else None))

    replayed(engine)

    assert seen
    assert all(each == old for each in seen)
    assert len(rows(reader)) == len(old)
    assert agents(reader) == ["AGENT", "AGENT", "SECOND"]
    reader.dispose()


def test_two_replays_and_a_redelivery_at_once_do_no_harm(
    engine: Engine, formats: Callable[[Format], None]
) -> None:
    """Whoever comes second waits, and then finds the range read already."""
    store(engine)
    others: list[Thread] = []
    tallies: list[Tally] = []

    def join_in(_agent: bytes) -> None:
        if not others:
            others.append(Thread(target=lambda: tallies.append(replayed(engine))))
            others.append(Thread(target=store, args=(second, (CleanStore,))))
            for thread in others:
                thread.start()

    second = make_engine(engine.url.render_as_string(hide_password=False))
    formats(raised(join_in))
    tallies.append(replayed(engine))
    for thread in others:
        thread.join()

    assert len(tallies) == 2
    assert sum(tally.replaced for tally in tallies) == 2
    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    assert audit(engine, {KEY: SIZE}, deep=True).complete
    second.dispose()


def test_a_dry_run_tells_and_writes_nothing(engine: Engine, formats: Callable[[Format], None]) -> None:
    """The difference is counted by column with examples, and no row or segment is another one."""
    store(engine)
    old = rows(engine), segments(engine)
    formats(raised())

    found = preview(engine, list_sources(engine)[0], Choice())

    assert found.tally == Tally(2, 2, 0, lines=5, records=3, rejected=2, newly_parsed=1, newly_rejected=1)
    assert list(found.changed) == ["user_agent"]
    change = found.changed["user_agent"]
    assert (change.count, change.examples) == (2, [("agent", "AGENT"), ("second", "SECOND")])
    assert (rows(engine), segments(engine)) == old
    assert replayed(engine) == found.tally
    assert preview(engine, list_sources(engine)[0], Choice()).tally == Tally(2, 0, 2)


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


def test_a_range_without_bytes_stays(engine: Engine, formats: Callable[[Format], None]) -> None:
    """What the lake does not hold, or holds with other bytes, is left as it is and counted."""
    store(engine, (CleanStore,))
    LakeStore(engine).store(Batch(SOURCE, 0, b"#" * (len(FIRST) - 1) + b"\n"))
    old = rows(engine)
    formats(raised())

    for tally in (replayed(engine), preview(engine, list_sources(engine)[0], Choice()).tally):
        assert (tally.unavailable, tally.replaced) == (2, 0)
        assert tally.first_unavailable == [(0, len(FIRST)), (len(FIRST), SIZE)]
    assert rows(engine) == old


def test_since_takes_what_was_stored_later(engine: Engine, formats: Callable[[Format], None]) -> None:
    """Ranges that the clean stage stored before the moment are not looked at."""
    store(engine)
    moment = max(each.stored_at for each in clean_ranges(engine, 1))
    formats(raised())

    assert replayed(engine, Choice(since=moment)).ranges == 1
    assert agents(engine) == ["agent", "SECOND"]


def test_rows_of_another_day_are_found(engine: Engine, formats: Callable[[Format], None]) -> None:
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

    assert replayed(engine) == Tally(1, 0, 1)
    assert preview(engine, list_sources(engine)[0], Choice()).tally == Tally(1, 0, 1)


def test_a_conflict_resolved_meanwhile_keeps_its_winner(
    engine: Engine, formats: Callable[[Format], None]
) -> None:
    """A choice made while the range is replaced waits, and then its bytes alone stand there."""
    store(engine)
    other = FIRST.replace(b"/one", b"/uno")
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(SOURCE, 0, other))
    second = make_engine(engine.url.render_as_string(hide_password=False))
    others: list[Thread] = []

    def choose(_agent: bytes) -> None:
        if not others:
            others.append(Thread(target=resolve, args=(second, 1, Keep.SECOND)))
            others[0].start()
            others[0].join(0.3)  # it has to be in the middle of its own transaction
            assert others[0].is_alive()

    formats(raised(choose))
    replayed(engine)
    others[0].join()

    assert audit(engine, {KEY: SIZE}, deep=True).complete
    assert b"".join(rebuild(engine, 1)) == other + SECOND
    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    second.dispose()
