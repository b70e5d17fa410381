"""Records of all formats in both databases, as the conformance corpus has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update

from db.cleaned import Choice
from db.difference import preview
from db.engine import reading, transaction
from db.models import CleanRecord, RejectedLine, Segment
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.formats import FORMATS, get_format
from pipeline.formats.base import COLUMNS
from pipeline.formats.line import CONTINUES_BEFORE, parser_of
from pipeline.formats.rest import RestReader
from tests.unit.formats.lines import records, typed
from tests.unit.test_formats_conformance import corpus, line_of

KEY = "ab" * 16
HEAD = b"2026-11-24 12:00:00,123 ERROR com.example.Shop - failed\n"
TRACE = b"java.io.IOException: gone\n\tat a.b.C.d(C.java:1)\n"


def store(engine: Engine, block: bytes, name: str = "auto", start: int = 0) -> None:
    """Store a batch of a format in both stages."""
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(Source(KEY, "web-1", "/logs/a.log", format=name), start, block))


def stored(engine: Engine) -> dict[int, dict[str, Any]]:
    """Return the clean records, their columns by the start of their lines, without what is NULL."""
    columns = [CleanRecord.__table__.c[name] for name in COLUMNS]
    with reading(engine) as connection:
        rows = connection.execute(select(CleanRecord.line_start, *columns)).mappings().all()
    return {row["line_start"]: present(dict(row)) for row in rows}


def present(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that are not NULL."""
    return {name: value for name, value in row.items() if value is not None and name in COLUMNS}


@pytest.mark.parametrize("name", sorted(corpus()))
def test_the_database_holds_what_the_parser_made(engine: Engine, name: str) -> None:
    """Every line of the corpus is stored with each of its values, `extra` included, or is rejected."""
    block = b"".join(line_of(entry) + b"\n" for entry in corpus()[name])
    parsed = parser_of(get_format(name), typed).parse(block, 0, datetime.now(UTC))
    reader: RestReader[dict[str, Any]] = RestReader(typed, FORMATS.values)
    rest = reader.read(get_format(name), parsed.rejected, mixed=False)
    parts = (parsed, *(found.lines for found in rest.recovered))

    store(engine, block, name)

    assert {row["start"]: present(row) for part in parts for row in records(part)} == stored(engine)
    with reading(engine) as connection:
        rejected = set(connection.scalars(select(RejectedLine.line_start)))
    assert {line.start for line in rest.rejected} == rejected
    (source,) = list_sources(engine)
    difference = preview(engine, source, Choice(named=name, redo=True))
    assert (difference.tally.newly_parsed, difference.tally.newly_rejected, difference.changed) == (0, 0, {})


def test_a_trace_points_to_its_head_in_the_source(engine: Engine) -> None:
    """`continues` is the place in the source, whichever batch it is; a trace without its head is rejected."""
    store(engine, HEAD + TRACE)
    second = len(HEAD + TRACE)
    store(engine, TRACE + HEAD + TRACE, start=second)

    head = second + len(TRACE)
    rows = stored(engine)
    assert {0: None, head: None} == {at: rows[at].get("continues") for at in (0, head)}
    assert {row["continues"] for at, row in rows.items() if at not in {0, head}} == {0, head}
    joined = "SELECT count(*) FROM clean_records t JOIN clean_records h ON h.line_start = t.continues"
    with reading(engine) as connection:
        assert connection.scalar(text(joined)) == 4
        assert set(connection.scalars(select(RejectedLine.reason))) == {CONTINUES_BEFORE}


def test_a_replay_infers_the_year_of_the_first_storing(engine: Engine) -> None:
    """A time without a year keeps its year, however much later the lake is read again."""
    store(engine, b"Jan  1 00:00:00 web-1 app: x\n", "syslog")
    long_ago = datetime.now(UTC) - timedelta(days=1000)
    with transaction(engine) as connection:
        connection.execute(update(Segment).values(stored_at=long_ago))
    (source,) = list_sources(engine)

    replay(engine, source, Choice(redo=True))

    (row,) = stored(engine).values()
    assert row["timestamp"].year == long_ago.year


def test_a_field_of_extra_can_be_indexed_and_found(engine: Engine) -> None:
    """The index of the document is taken, and the query by the field finds its record."""
    store(engine, b'{"time": 1, "order": 4711}\n{"time": 1, "order": 1}\n', "json")
    postgresql = engine.dialect.name == "postgresql"
    value = "'4711'" if postgresql else "4711"
    field = "(extra ->> 'order')" if postgresql else "json_extract(extra, '$.order')"

    with transaction(engine) as connection:
        connection.execute(text(f"CREATE INDEX clean_order ON clean_records ({field})"))
        query = f"SELECT line_start FROM clean_records WHERE {field} = {value}"
        assert list(connection.scalars(text(query))) == [0]
