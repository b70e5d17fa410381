"""Records of several formats, partial ones and extra fields, on both databases."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.cleaned import Choice
from db.difference import preview
from db.engine import reading
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.formats import FORMATS, get_format

COMBINED = get_format("combined").example + b"\n"
TIMED = get_format("nginx_timed").example + b"\n"
ERROR = get_format("nginx_error").example + b"\n"
BIG = COMBINED.replace(b"1386", b"9" * 30)
CUT = COMBINED.replace(b'(X11)"\n', b"(X1\n")
MIXED = (COMBINED * 5, TIMED, b"noise\n", BIG, ERROR, CUT, TIMED, COMBINED)


def store(engine: Engine, *blocks: bytes, format_: str = "auto") -> Source:
    """Store blocks in both stages, a segment each."""
    source = Source("ab" * 16, "web-1", "/log", format=format_)
    for stage in (LakeStore(engine), CleanStore(engine)):
        start = 0
        for block in blocks:
            stage.store(Batch(source, start, block))
            start += len(block)
    return source


def rows(engine: Engine) -> list[dict[str, Any]]:
    """Return every column of the view that a format fills, in the order of the lines."""
    with reading(engine) as connection:
        found = connection.execute(text("SELECT * FROM clean_logs ORDER BY line_start")).mappings().all()
    return [dict(row) for row in found]


def rejected(engine: Engine) -> list[str]:
    """Return the reasons of the rejected lines."""
    with reading(engine) as connection:
        return list(connection.scalars(text("SELECT reason FROM rejected_lines ORDER BY line_start")))


def test_a_mixed_source_is_read_line_by_line(engine: Engine) -> None:
    """Lines of other formats are records of those, partial ones name what failed, the audit is complete."""
    block = b"".join(MIXED)

    source = store(engine, block)

    found = [(row["format"], row["failed_fields"]) for row in rows(engine)]
    whole = ("combined", None)
    assert found == [
        *[whole] * 5,
        ("nginx_timed", None),
        ("combined", "size"),
        ("nginx_error", None),
        ("combined", "user_agent"),
        ("nginx_timed", None),
        whole,
    ]
    assert rejected(engine) == ['expected "client" at byte 0']
    assert [bool(row["is_complete"]) for row in rows(engine)].count(False) == 2
    assert audit(engine, {source.key: len(block)}, deep=True).complete
    (listed,) = list_sources(engine)
    assert listed.format == "combined"


def test_a_set_format_reads_no_other(engine: Engine) -> None:
    """Where the format was set, lines of others are not its records."""
    store(engine, COMBINED + ERROR + TIMED, format_="combined")

    assert [row["format"] for row in rows(engine)] == ["combined"]
    assert len(rejected(engine)) == 2


def test_a_replay_of_a_mixed_source_gives_the_same(engine: Engine) -> None:
    """Neither a dry run nor a replay of everything finds a difference in a mixed source."""
    store(engine, *MIXED[:2], b"".join(MIXED[2:]))
    before = rows(engine), rejected(engine)
    (source,) = list_sources(engine)

    difference = preview(engine, source, Choice(redo=True))
    tally = replay(engine, source, Choice(redo=True))

    assert difference.changed == {}
    assert (difference.tally.newly_parsed, difference.tally.newly_rejected) == (0, 0)
    assert (tally.lines, tally.records, tally.rejected) == (12, 11, 1)
    assert (rows(engine), rejected(engine)) == before


@pytest.mark.parametrize("name", FORMATS)
def test_an_example_of_every_format_is_stored(engine: Engine, name: str) -> None:
    """The record of each format's example comes back from the database, extra fields and durations too."""
    format_ = get_format(name)

    store(engine, format_.example + b"\n")

    (row,) = rows(engine)
    assert (row["format"], rejected(engine)) == (name, [])
    if "extra" in format_.columns and row["extra"] is not None:
        extra = row["extra"] if isinstance(row["extra"], dict) else json.loads(row["extra"])
        assert extra
        assert all(value is not None for value in extra.values())
    if "duration_seconds" in format_.columns:
        assert isinstance(row["duration_seconds"], float)


def test_a_w3c_source_is_read_as_its_fields_line_says(engine: Engine) -> None:
    """A source with a Fields line is remembered by its fields, and later blocks are read so too."""
    head = b"#Version: 1.0\n#Fields: date time cs-method sc-status\n"
    line = b"2015-05-17 10:05:03 GET 304\n"

    store(engine, head, line * 3)

    assert [(row["rest_method"], row["status"]) for row in rows(engine)] == [("GET", 304)] * 3
    assert rejected(engine) == ["header line, no record"] * 2
    assert [source.format for source in list_sources(engine)] == ["w3c:date,time,cs-method,sc-status"]
