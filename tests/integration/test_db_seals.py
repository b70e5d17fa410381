"""The hash chain on both databases: whatever is altered behind its back is named."""

import pytest
from sqlalchemy import Engine

from db import seals
from db.audit import audit
from db.ledger import LAKE
from db.unbroken import verify
from tests.integration.sealing import KEY, ONE, OTHER, SIZE, TWO, broken, close, damage, fill, heads, store


@pytest.fixture
def sealed(engine: Engine) -> Engine:
    """Two sources of four segments: two under a first seal, and two under a second one."""
    fill(engine)
    return engine


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
