"""Rejected lines grouped on both databases, with bounded memory."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from db import rejected
from db.rejected import Scope, grouped, listed
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.formats.ncsa import COMBINED
from pipeline.formats.trial import OTHER

LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n'
#: Lines of two kinds: days that are none, each another one, and what is no log line, one of it invalid UTF-8.
DAYS = [LINE.replace(b"17/May", b"%d/May" % day) for day in (32, 33, 34)]
NOISE = [b"no log line \xff\x1b[m\n", b"no log line\0, the second\n"]


def store(engine: Engine, number: int, *lines: bytes) -> None:
    """Store lines as one batch of a source with this number."""
    source = Source(f"{number}{number}" * 16, "web-1", f"/log{number}", format="combined")
    CleanStore(engine).store(Batch(source, 0, b"".join(lines)))


def test_lines_of_one_kind_are_one_group(engine: Engine) -> None:
    """Values and positions do not part them; the first in the order of sources and bytes is the example."""
    store(engine, 1, LINE, DAYS[0], NOISE[0])
    store(engine, 2, DAYS[1], DAYS[2], LINE, NOISE[1])

    days, noise = grouped(engine, Scope())

    assert (days.count, days.format) == (3, ("combined", COMBINED.version))
    assert "32" not in days.signature
    assert days.first == (1, len(LINE))
    assert days.example is not None
    assert days.example.line == DAYS[0].removesuffix(b"\n")
    assert "32/May" in days.example.line.decode()[days.example.position :]
    assert noise.count == 2
    assert noise.example is not None
    assert noise.example.line == NOISE[0].removesuffix(b"\n")
    assert noise.example.path == "/log1"


def test_a_scope_leaves_out_the_others(engine: Engine) -> None:
    """One source, or days from one on, are counted alone."""
    store(engine, 1, *DAYS)
    store(engine, 2, *DAYS[:1])
    today = datetime.now(UTC).date()

    assert [group.count for group in grouped(engine, Scope(source_id=2))] == [1]
    assert [group.count for group in grouped(engine, Scope(since=today - timedelta(days=1)))] == [4]
    assert grouped(engine, Scope(since=date(2999, 1, 1))) == []


def test_many_kinds_become_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the most groups that are told apart the rest is counted together, and nothing is lost."""
    monkeypatch.setattr(rejected, "MOST_GROUPS", 1)
    store(engine, 1, *DAYS, *NOISE)

    found = grouped(engine, Scope())

    assert sum(group.count for group in found) == 5
    assert OTHER in {group.signature for group in found}


def test_the_lines_of_a_kind_are_listed_in_order(engine: Engine) -> None:
    """Those whose signature holds the words, by source and byte, with their bytes exact."""
    store(engine, 2, NOISE[1])
    store(engine, 1, NOISE[0], *DAYS)
    noise = next(group for group in grouped(engine, Scope()) if group.count == 2)

    found = [(each.path, each.line_start, each.line) for each in listed(engine, Scope(), noise.signature)]

    assert found == [("/log2", 0, NOISE[1][:-1]), ("/log1", 0, NOISE[0][:-1])]
    assert list(listed(engine, Scope(), "no such words")) == []
