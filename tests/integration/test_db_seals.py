"""The hash chain on both databases: whatever is altered behind its back is named."""

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
from db.store import CleanStore, LakeStore
from db.unbroken import ChainReport, Kept, verify
from pipeline.batch import Batch, Source
from pipeline.errors import PermanentError

ONE, TWO = Source("aa" * 16, "web-1", "/log/one"), Source("bb" * 16, "web-1", "/log/one.1", generation=1)
BLOCK = b"one line\nand another\n"
SIZE = len(BLOCK)
KEY, OTHER = b"k" * 32, b"o" * 32
SOON = timedelta(seconds=5)


def store(engine: Engine, source: Source, *numbers: int) -> None:
    """Store blocks of a source in both stages, by their place in it."""
    for stage in (LakeStore(engine), CleanStore(engine)):
        for number in numbers:
            stage.store(Batch(source, number * SIZE, BLOCK))


def close(engine: Engine, *keys: bytes) -> int:
    """Seal everything that is stored."""
    return seals.close(engine, keys, datetime.now(UTC) + SOON)


@pytest.fixture
def sealed(engine: Engine) -> Engine:
    """Two sources of four segments: two under a first seal, and two under a second one."""
    for numbers in ((0, 1), (2, 3)):
        for source in (ONE, TWO):
            store(engine, source, *numbers)
        assert close(engine, KEY) == 2
    return engine


def damage(engine: Engine, statement: str) -> None:
    """Do to the tables what no one should."""
    with transaction(engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def broken(engine: Engine, *keys: bytes, kept: Kept | None = None) -> list[tuple[str, int, int, str]]:
    """Return what is broken: key, bytes in blocks, and what is wrong."""
    found = verify(engine, keys, kept).breaks
    return [(each.key[:2], each.start // SIZE, each.end // SIZE, each.what) for each in found]


def heads(report: ChainReport) -> Kept:
    """Return heads as they are kept elsewhere."""
    return {head.key: [(head.end, head.hash)] for head in report.heads}


def test_what_is_left_alone_is_unbroken(sealed: Engine) -> None:
    """Every byte is under a seal, a second closing has nothing to do, and the heads are signed."""
    report = verify(sealed, (KEY,))

    assert not report.breaks
    assert report.sealed_bytes == 2 * 4 * SIZE
    assert [(head.key, head.number, head.end, head.is_signed) for head in report.heads] == [
        (ONE.key, 2, 4 * SIZE, True),
        (TWO.key, 2, 4 * SIZE, True),
    ]
    assert close(sealed, KEY) == 0
    assert not verify(sealed).breaks
    assert report.heads[0].hash != report.heads[1].hash


def test_a_day_is_sealed_when_it_has_ended(engine: Engine) -> None:
    """What was stored today, and what follows a gap, waits."""
    store(engine, ONE, 0, 1, 3)
    assert seals.close(engine) == 0

    assert close(engine) == 1
    assert [head.end for head in verify(engine).heads] == [2 * SIZE]
    store(engine, ONE, 2)
    assert close(engine) == 1
    assert [head.end for head in verify(engine).heads] == [4 * SIZE]


SEGMENT = "UPDATE segments SET {} WHERE source_id = 1 AND stage = 'lake' AND start_offset = " + str(SIZE)
NOT_SEALED = "the segment is not the one under seal 1"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (SEGMENT.format("line_count = 3"), [("aa", 1, 2, NOT_SEALED)]),
        (SEGMENT.format("stored_at = '2020-01-01 00:00:00'"), [("aa", 1, 2, NOT_SEALED)]),
        (SEGMENT.format("end_offset = end_offset - 1"), [("aa", 1, 1, NOT_SEALED)]),
        (
            SEGMENT.format("checksum = (SELECT hash FROM seals WHERE source_id = 1 AND number = 1)"),
            [("aa", 1, 2, NOT_SEALED)],
        ),
        (
            f"DELETE FROM segments WHERE source_id = 2 AND stage = 'lake' AND start_offset = {2 * SIZE}",
            [("bb", 2, 4, "1 segments and not the 2 under seal 2")],
        ),
        (
            (
                "UPDATE seals SET hash = (SELECT hash FROM seals WHERE source_id = 2 AND number = 1) "
                "WHERE source_id = 1 AND number = 1"
            ),
            [("aa", 0, 2, "seal 1 is altered")],
        ),
        (
            (
                "UPDATE seals SET marks = (SELECT marks FROM seals WHERE source_id = 1 AND number = 2) "
                "WHERE source_id = 1 AND number = 1"
            ),
            [("aa", 0, 2, "the marks of seal 1 are altered")],
        ),
        ("DELETE FROM seals WHERE source_id = 1 AND number = 1", [("aa", 0, 2, "seal 1 is gone or altered")]),
    ],
)
def test_what_was_altered_is_named(
    sealed: Engine, change: str, found: list[tuple[str, int, int, str]]
) -> None:
    """A segment or a seal that is not as it was sealed is named, and nothing else."""
    damage(sealed, change)

    told = broken(sealed, KEY)

    assert found == told[:1]
    assert all(key == found[0][0] for key, *_ in told)
    assert len(told) == 1 or "DELETE FROM seals" in change


def test_an_altered_line_is_named_by_its_segment(sealed: Engine) -> None:
    """The chain holds the checksums, and the deep audit compares them with the lines."""
    damage(sealed, f"UPDATE raw_logs SET line = 'one lime' WHERE source_id = 1 AND line_start = {SIZE}")

    assert not broken(sealed, KEY)
    assert audit(sealed, None, deep=True).sources[0].stages[LAKE].damaged == [(SIZE, 2 * SIZE)]


def test_a_last_seal_needs_a_signature(sealed: Engine) -> None:
    """Without the key nobody makes a seal that passes; another key does not pass either."""
    damage(sealed, "UPDATE seals SET signature = NULL WHERE source_id = 2 AND number = 2")

    assert broken(sealed, KEY) == [("bb", 2, 4, "seal 2, the last one, is not signed")]
    (one, two) = broken(sealed, OTHER)
    assert one == ("aa", 2, 4, "seal 2, the last one, was signed by none of these keys, or altered")
    assert two[3].endswith("is not signed")


def test_a_seal_with_another_time_is_not_signed(sealed: Engine) -> None:
    """The signature covers what the chain does not."""
    damage(sealed, "UPDATE seals SET sealed_at = '2020-01-01 00:00:00' WHERE source_id = 1 AND number = 2")

    assert [what for *_, what in broken(sealed, KEY)] == [
        "seal 2, the last one, was signed by none of these keys, or altered"
    ]


def test_keys_change(sealed: Engine) -> None:
    """With both keys each source gets a seal of the new one, and then the old key can go."""
    assert close(sealed, OTHER, KEY) == 2

    assert not broken(sealed, OTHER)
    assert close(sealed, OTHER, KEY) == 0
    store(sealed, ONE, 4)
    assert close(sealed, OTHER) == 1
    assert not broken(sealed, OTHER)


def test_a_forged_seal_is_not_signed_anew(sealed: Engine) -> None:
    """A change of keys does not launder a last seal that none of them has signed."""
    damage(sealed, "UPDATE seals SET sealed_at = '2020-01-01 00:00:00' WHERE source_id = 1 AND number = 2")

    assert close(sealed, OTHER, KEY) == 1

    assert [key for key, *_ in broken(sealed, OTHER, KEY)] == ["aa"]


def test_kept_heads_show_who_rewrote_everything(sealed: Engine) -> None:
    """A consistent chain made anew passes by itself, and not beside the heads of the old one."""
    kept = heads(verify(sealed))
    store(sealed, ONE, 4)
    close(sealed, KEY)
    assert not broken(sealed, KEY, kept=kept)

    damage(sealed, "DELETE FROM seals")
    damage(sealed, SEGMENT.format("line_count = 3"))
    close(sealed, KEY)

    assert not broken(sealed, KEY)
    ((key, start, end, what),) = broken(sealed, KEY, kept=kept)
    assert (key, start, end) == ("aa", 0, 4)
    assert what == f"the kept head {kept[ONE.key][0][1]} is no seal of it"
    assert broken(sealed, KEY, kept={"zz": [(7 * SIZE, "00")]}) == [
        ("zz", 0, 7, "the source of a kept head is gone")
    ]


def test_seals_taken_away_show_beside_kept_heads(sealed: Engine) -> None:
    """Who takes the last seals away leaves a chain that is too short for the heads."""
    kept = heads(verify(sealed))
    damage(sealed, "DELETE FROM seals WHERE number = 2 AND source_id = 2")

    assert not broken(sealed, KEY)
    assert [(key, end) for key, _, end, _ in broken(sealed, KEY, kept=kept)] == [("bb", 4)]


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
