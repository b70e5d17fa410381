"""Counted segments that others touch, or of whose tally nothing follows: read again, all counts are right."""

from threading import Thread
from typing import Any

import msgpack
import pytest
from sqlalchemy import Engine, select, update

from db import counting
from db.audit import audit
from db.engine import make_engine, transaction
from db.faults import ValuesRefused
from db.ledger import CLEAN
from db.load import PostgresqlLoader, SqliteLoader
from db.models import Segment
from db.removals import Kind
from db.store import CleanStore
from db.traffic import TALLY_VERSION
from pipeline.batch import Batch, Source
from tests.integration import retaining
from tests.integration.changed_format import FIRST, SIZE, SetFormat, failing, raised, replayed, store
from tests.integration.erasing import MIXED, erased
from tests.integration.erasing import store as store_mixed
from tests.integration.exchanging import COMBINED_SOURCE, combined, hits, ledger, read_again, store_blocks
from tests.integration.removing import END as ALL
from tests.integration.removing import KEY, SECOND, fill, taken
from tests.recount import differences

pytestmark = pytest.mark.usefixtures("kept")


def test_a_tally_of_an_older_version_is_left_to_sql(engine: Engine) -> None:
    """What it says is not understood, so the records are taken out one by one, and counted anew."""
    store_blocks(engine, COMBINED_SOURCE, combined(1), combined(2))
    counting.count(engine)
    older = msgpack.packb([TALLY_VERSION - 1, b"no part of today's"])
    with transaction(engine) as connection:
        last = select(Segment.id).order_by(Segment.id.desc()).limit(1).scalar_subquery()
        connection.execute(update(Segment).where(Segment.id == last).values(tally=older))

    assert read_again(engine).replaced == 2

    assert ledger(engine) == [(True, True), (False, True)]
    assert differences(engine, [1]) == []
    assert ledger(engine) == [(True, True), (True, True)]


def test_few_lines_have_no_tally_once_they_are_counted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be larger than their entry in the ledger: SQL takes them out of the counts."""
    monkeypatch.setattr(counting, "KEPT_LINES", 100)
    store_blocks(engine, COMBINED_SOURCE, combined(1, 99), combined(2, 100))
    counting.count(engine)
    assert ledger(engine) == [(True, False), (True, True)]

    assert read_again(engine).replaced == 2

    assert ledger(engine) == [(False, True), (True, True)]
    assert differences(engine, [1]) == []


def test_a_value_that_the_database_refuses(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded with care has no tally: the records before it are taken out by SQL."""
    store_blocks(engine, COMBINED_SOURCE, combined(1))
    counting.count(engine)
    loader = PostgresqlLoader if engine.dialect.name == "postgresql" else SqliteLoader
    load, refused = loader.load_records, []

    def once(*args: Any) -> None:
        if not refused:
            refused.append(True)
            raise ValuesRefused("no")
        load(*args)

    monkeypatch.setattr(loader, "load_records", once)
    assert read_again(engine).replaced == 1

    assert (refused, ledger(engine)) == ([True], [(False, False)])
    assert differences(engine, [1]) == []


def test_after_a_part_was_erased(engine: Engine) -> None:
    """An erased line leaves no tally that holds its values; read again, what is left is counted once."""
    store_mixed(engine, b"".join(MIXED))
    counting.count(engine)
    assert ledger(engine) == [(True, True)]

    erased(engine)
    assert not any(kept for _, kept in ledger(engine))
    for _ in range(2):
        assert read_again(engine).replaced == 1
        assert differences(engine, [1]) == []


def test_what_retention_took_stays_counted(engine: Engine) -> None:
    """Records that are gone stay in the counts, also those of a segment whose rest is read again."""
    retaining.fill(engine)
    before = hits(engine)
    retaining.expired(engine, "clean=90,rejected=50")
    assert ledger(engine) == [(True, False), (True, False), (True, True), (True, True)] * 2

    for number in (0, 1):
        assert read_again(engine, number=number).replaced == 3
    counting.count(engine)

    assert hits(engine) == before
    assert retaining.complete(engine)


def test_a_tally_beside_what_is_gone_is_not_believed(engine: Engine) -> None:
    """An older version removes records and leaves the tally: they stay counted, once."""
    fill(engine)
    counting.count(engine)
    taken(engine, CLEAN, SECOND, kind=Kind.RETENTION)
    assert ledger(engine) == [(True, True)] * 3

    assert read_again(engine).replaced == 3
    counting.count(engine)

    assert hits(engine) == 12
    assert audit(engine, {KEY: ALL}, deep=True).complete


def test_interrupted(engine: Engine, formats: SetFormat) -> None:
    """After an error in the second segment the first one is exchanged, and the second one as it was."""
    store(engine)
    counting.count(engine)
    formats(raised(failing))
    with pytest.raises(RuntimeError):
        replayed(engine)
    assert differences(engine, [1]) == []

    formats(raised())
    assert replayed(engine).replaced == 1
    assert differences(engine, [1]) == []


def test_beside_those_who_store_count_and_read_again(engine: Engine, formats: SetFormat) -> None:
    """While a segment is replaced others replay, count, compact and store: all counts are right then."""
    store(engine)
    counting.count(engine)
    others: list[Thread] = []
    replaced: list[int] = []
    second = make_engine(engine.url.render_as_string(hide_password=False))

    def more() -> None:
        CleanStore(second).store(Batch(Source("ef" * 16, "web-1", "/log"), SIZE, FIRST))
        counting.count(second)
        counting.compact(second)

    def join_in(_agent: bytes) -> None:
        if not others:
            others.append(Thread(target=lambda: replaced.append(replayed(second).replaced)))
            others.append(Thread(target=more))
            for thread in others:
                thread.start()

    formats(raised(join_in))
    replaced.append(replayed(engine).replaced)
    for thread in others:
        thread.join()

    assert sum(replaced) == 2
    assert differences(engine, [1]) == []
    second.dispose()
