"""A replay beside readers, other replays, redeliveries and choices of a person, on both databases."""

from threading import Thread

from sqlalchemy import Engine

from db.audit import audit
from db.engine import make_engine
from db.rebuild import rebuild
from db.resolve import Keep, resolve
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch
from tests.integration.changed_format import (
    FIRST,
    KEY,
    SECOND,
    SIZE,
    SOURCE,
    SetFormat,
    agents,
    raised,
    replayed,
    rows,
    store,
)


def test_a_reader_sees_a_range_whole(engine: Engine, formats: SetFormat) -> None:
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


def test_two_replays_and_a_redelivery_at_once_do_no_harm(engine: Engine, formats: SetFormat) -> None:
    """Whoever comes second waits, and then finds the range read already."""
    store(engine)
    others: list[Thread] = []
    replaced: list[int] = []

    def join_in(_agent: bytes) -> None:
        if not others:
            others.append(Thread(target=lambda: replaced.append(replayed(engine).replaced)))
            others.append(Thread(target=store, args=(second, (CleanStore,))))
            for thread in others:
                thread.start()

    second = make_engine(engine.url.render_as_string(hide_password=False))
    formats(raised(join_in))
    replaced.append(replayed(engine).replaced)
    for thread in others:
        thread.join()

    assert len(replaced) == 2
    assert sum(replaced) == 2
    assert agents(engine) == ["AGENT", "AGENT", "SECOND"]
    assert audit(engine, {KEY: SIZE}, deep=True).complete
    second.dispose()


def test_a_conflict_resolved_meanwhile_keeps_its_winner(engine: Engine, formats: SetFormat) -> None:
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
