"""Counted segments read again: the counts are those of the records at once, on both databases."""

import pytest
from sqlalchemy import Engine, select, text, update

from db import counting
from db.cleaned import Choice
from db.engine import reading, transaction
from db.models import Segment
from db.replay import replay
from db.slices import Order, replay_slice
from db.sources import list_sources
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.enrich.enrichment import Enrichment
from tests.integration.changed_format import SetFormat, raised, replayed, store
from tests.integration.exchanging import (
    COMBINED_SOURCE,
    JSON_SOURCE,
    REDO,
    combined,
    hits,
    ledger,
    read_again,
    requests,
    rows_of_counts,
    store_blocks,
)
from tests.recount import differences

pytestmark = pytest.mark.usefixtures("kept")


def test_the_same_values_change_no_count(engine: Engine) -> None:
    """Read again by a process that has seen other lines, segments stay counted; no row comes or goes."""
    store_blocks(engine, COMBINED_SOURCE, combined(1), combined(2))
    counting.count(engine)
    before = rows_of_counts(engine)
    store_ = CleanStore(engine)
    store_.store(Batch(Source("ef" * 16, "web-1", "/b.log", format="combined"), 0, combined(3)))

    assert replay_slice(engine, store_, Order(REDO, (1,)), seconds=60).tally.replaced == 2

    assert ledger(engine) == [(True, True), (True, True), (False, True)]
    assert rows_of_counts(engine) == before
    assert differences(engine, [1, 2]) == []


def test_a_risen_version(engine: Engine, formats: SetFormat) -> None:
    """Other agents, a line more and a line less: what changed is in the counts at once."""
    store(engine)
    counting.count(engine)
    formats(raised())

    assert replayed(engine).replaced == 2

    assert ledger(engine) == [(True, True), (True, True)]
    with reading(engine) as connection:
        days = "SELECT value, sum(hits) FROM traffic_days WHERE kind = 'agent' GROUP BY 1"
        told = {value: hits_ for value, hits_ in connection.execute(text(days)) if hits_}
    assert told == {"AGENT": 2, "SECOND": 1}
    assert counting.count(engine) == 0
    assert differences(engine, [1]) == []


def test_further_columns(engine: Engine) -> None:
    """What an enricher adds is added, and taken out again when it is gone."""
    store_blocks(engine, COMBINED_SOURCE, combined(1))
    counting.count(engine)
    for enrichment in (Enrichment(("address", "agent")), Enrichment()):
        assert replay(engine, list_sources(engine)[0], REDO, enrichment).replaced == 1
        assert differences(engine, [1]) == []


def test_another_format(engine: Engine) -> None:
    """A format that reads no line takes all out of the counts, durations too; the right one puts it in."""
    store_blocks(engine, JSON_SOURCE, requests(1), requests(2))
    counting.count(engine)
    for name, records in (("combined", 0), ("json", 160)):
        assert read_again(engine, Choice(named=name)).records == records
        assert hits(engine) == records
        assert differences(engine, [1]) == []


@pytest.mark.parametrize(
    "before",
    [
        requests(1, bytes=7),
        requests(1, request_time=0.5),
        requests(1, request_time=None),
        requests(1, host="c.example"),
        requests(1, status=404),
        requests(1, remote_addr="198.51.100.1"),
        requests(1, time="2026-02-01T00:00:00Z"),
        requests(2),
        combined(1),
        requests(1) + combined(1),
        b"nothing\n",
    ],
    ids=["sizes", "durations", "no", "hosts", "errors", "visitors", "days", "all", "other", "more", "none"],
)
def test_any_other_values(engine: Engine, before: bytes) -> None:
    """Counted as other lines, in whose place come these ones, the counts are those of the records."""
    source = Source(JSON_SOURCE.key, "web-1", "/a.json")
    CleanStore(engine).store(Batch(source, 0, before))
    old = tally_of_first(engine)
    with transaction(engine) as connection:
        for table in ("clean_records", "rejected_lines", "segments"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE sources SET format = 'json'"))
    CleanStore(engine).store(Batch(source, 0, requests(1)))
    new = tally_of_first(engine)
    with transaction(engine) as connection:
        connection.execute(update(Segment).values(tally=old))
    counting.count(engine)

    with transaction(engine) as connection:
        connection.execute(update(Segment).values(tally=new))
        counting.exchange(connection, connection.scalars(select(Segment.id)).one(), old)

    assert differences(engine, [1]) == []


def tally_of_first(engine: Engine) -> bytes:
    """Return the tally of the only segment."""
    with reading(engine) as connection:
        return connection.scalars(select(Segment.tally)).one() or b""
