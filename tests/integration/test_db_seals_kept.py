"""The hash chain beside removals, backups, conflicts and a second closing, on both databases."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db import seals
from db.archive.backup import backup
from db.archive.container import Archive, ArchiveWriter
from db.archive.restore import restore
from db.audit import audit
from db.counting import count
from db.engine import reading, transaction
from db.erasures import Receipt, begin
from db.ledger import CLEAN, LAKE
from db.removals import Kind, Place
from db.removing import Reason, remove
from db.resolve import Keep, contradictions, resolve
from db.retention import expire
from db.store import LakeStore
from db.unbroken import verify
from pipeline.batch import Batch
from pipeline.errors import PermanentError
from tests.integration.sealing import (
    KEY,
    ONE,
    SIZE,
    TWO,
    broken,
    close,
    fill,
    heads,
    store,
)


@pytest.fixture
def sealed(engine: Engine) -> Engine:
    """Two sources of four segments: two under a first seal, and two under a second one."""
    fill(engine)
    return engine


def test_removed_ranges_stay_in_the_chain(sealed: Engine) -> None:
    """Erasure and retention take rows, not segments: the chain stays, the audit says what is gone."""
    count(sealed)
    receipt = Receipt(uuid.uuid4(), datetime.now(UTC), None, "ann", "user", "hash", {}, {})
    begin(sealed, receipt)
    with transaction(sealed) as connection:
        for stage in (LAKE, CLEAN):
            reason = Reason(Kind.ERASURE, datetime.now(UTC), receipt.id)
            remove(connection, Place(1, stage), [(SIZE, SIZE + len(b"one line\n"))], reason)
    later = datetime.now(UTC) + timedelta(days=2)
    done = expire(sealed, lambda path, table: 1 if table == "lake" and path == TWO.path else None, now=later)

    assert done.lines == 8
    assert not broken(sealed, KEY)
    report = audit(sealed, None, deep=True)
    assert report.complete
    assert {kind: sums.lines for kind, sums in report.removed(LAKE).items()} == {"erasure": 1, "retention": 8}


def test_a_removal_needs_a_reason(sealed: Engine) -> None:
    """Who deletes lines and notes an erasure without receipt, or retention of young lines, is found out."""
    now = datetime.now(UTC)
    with transaction(sealed) as connection:
        for kind, number in ((Kind.ERASURE, 1), (Kind.RETENTION, 2), (Kind.RETENTION, 3)):
            at = now + timedelta(days=2) if number == 3 else now
            remove(connection, Place(1, LAKE), [(number * SIZE, (number + 1) * SIZE)], Reason(kind, at))

    assert audit(sealed, None, deep=True).complete
    assert broken(sealed, KEY) == [
        ("aa", 1, 2, "lines were erased from lake without a receipt"),
        ("aa", 2, 3, "retention took lines from the lake that were not a day old"),
    ]


def test_a_restored_database_has_its_chain(sealed: Engine, tmp_path: Path) -> None:
    """A backup holds the seals, and what comes back is as it was sealed."""
    path = tmp_path / "backup.zip"
    with path.open("wb") as file:
        backup(sealed, ArchiveWriter(file))
    before = verify(sealed, (KEY,))
    with transaction(sealed) as connection:
        for table in (
            "seals",
            "segments",
            "raw_logs",
            "clean_records",
            "rejected_lines",
            "sources",
            "formats",
        ):
            connection.execute(text(f"DELETE FROM {table}"))

    with Archive(path) as archive:
        restore(sealed, archive)

    assert verify(sealed, (KEY,), heads(before)) == before


def test_what_is_sealed_is_not_replaced(engine: Engine) -> None:
    """An open conflict keeps its range from being sealed; what is sealed keeps its first bytes."""
    other = b"x" * (SIZE - 1) + b"\n"
    store(engine, ONE, 0, 1)
    LakeStore(engine).store(Batch(ONE, SIZE, other))
    close(engine)
    assert [head.end for head in verify(engine).heads] == [SIZE]
    LakeStore(engine).store(Batch(ONE, 0, other))
    (early, late) = sorted(contradictions(engine), key=lambda each: each.start)

    with pytest.raises(PermanentError, match=f"bytes up to {SIZE} of the lake are sealed"):
        resolve(engine, early.id, Keep.SECOND)
    resolve(engine, late.id, Keep.SECOND)
    resolve(engine, early.id, Keep.FIRST)

    assert close(engine) == 1
    assert not broken(engine)


def test_two_closings_at_once_add_one_seal(sealed: Engine) -> None:
    """A seal has a number, and the second of the same number is not stored."""
    store(sealed, ONE, 4)
    with reading(sealed) as connection:
        last = seals.last_seal(connection, 1)
        links = seals.links_of(connection, 1, 4 * SIZE)
    assert close(sealed, KEY) == 1

    with transaction(sealed) as connection:
        assert seals._add(connection, seals._Numbered(1, ONE.key), last, links, (KEY,)) == 0
    assert not broken(sealed, KEY)
