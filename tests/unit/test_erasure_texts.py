"""Every column of every table is known to an erasure: as text of lines, or as no such text."""

from sqlalchemy import LargeBinary, Text
from sqlalchemy.types import JSON

from db import schema  # noqa: F401 - loads every table
from db.erasure_texts import COUNTED, NOTICED
from db.models import Base, CleanRecord, Conflict, RawLog, RejectedLine

TEXTS = (Text, JSON, LargeBinary)
#: Columns that are erased with their line, or blanked in it.
LINES = {model.__tablename__ for model in (RawLog, RejectedLine, CleanRecord, Conflict)}
#: Columns that hold no text of a line: names that Sluice or its operator gives, checksums, receipts.
OWN = {
    "sources": {"key", "host", "path", "format"},
    "formats": {"name"},
    # The tally of a segment goes when one of its lines does.
    "segments": {"stage", "checksum", "tally"},
    "removals": {"stage", "kind", "rest_checksum"},
    "erasures": {"requested_by", "kind", "subject_hash", "counts", "findings"},
    "seals": {"marks", "hash", "signature"},
    "watches": {"name", "problem"},
    "drift_events": {"kind"},
    "findings": {"kind", "rule", "severity", "evidence", "state"},
    "alerts": {"channel"},
    "traffic_days": {"kind"},
    "traffic_latencies": {"part"},
    "traffic_latency_minutes": {"part", "histogram"},
    # Hashes of visitors, made anew where records went.
    "traffic_visitors": {"sketch"},
    "traffic_visitor_minutes": {"sketch"},
}


def test_no_column_is_forgotten() -> None:
    """A new column of text is added to db/erasure_texts.py, or to the list above with good reason."""
    for name, table in Base.metadata.tables.items():
        texts = {column.name for column in table.columns if isinstance(column.type, TEXTS)}
        known = {*NOTICED.get(name, ()), *COUNTED.get(name, ()), *OWN.get(name, ())}
        assert name in LINES or texts == known, name


def test_rows_can_be_found_again() -> None:
    """Each table of what was noticed has one column as its key, by which a row is changed."""
    assert {len(Base.metadata.tables[name].primary_key.columns) for name in NOTICED} == {1}
