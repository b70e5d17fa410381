"""Conflicts resolved on both databases: one content stays in both stages, the other is kept apart."""

import hashlib
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.engine import reading
from db.rebuild import LakeGap, rebuild
from db.resolve import Keep, contradiction, contradictions, resolve
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import ConfigurationError

KEY = "ef" * 16
SOURCE = Source(KEY, "web-1", "/log", format="combined")


def line(path: str) -> bytes:
    """Return a log line of the combined format."""
    return b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET %s HTTP/1.1" 200 1 "-" "a"\n' % path.encode()


FIRST = line("/one") + line("/two") + b"no log line!\n"
#: As long as FIRST, with other lines.
SECOND = line("/uno") + b"x" * 12 + b"\n" + line("/dos")
BEFORE, AFTER = line("/before"), line("/after")


def store(
    engine: Engine, block: bytes, start: int = 0, stages: tuple[Any, ...] = (LakeStore, CleanStore)
) -> int:
    """Store a block in stages, and return the bytes of it that were in conflict."""
    return sum(stage(engine).store(Batch(SOURCE, start, block)).conflict_bytes for stage in stages)


def paths(engine: Engine) -> list[str]:
    """Return the paths of the clean records in the order of the file."""
    with reading(engine) as connection:
        return list(connection.scalars(text("SELECT path FROM clean_logs ORDER BY line_start")))


def rebuilt(engine: Engine) -> bytes:
    """Return what the lake holds."""
    return b"".join(rebuild(engine, 1))


@pytest.fixture
def contradicted(engine: Engine) -> Engine:
    """A database with one source, and other bytes for all of it kept apart by each stage."""
    store(engine, FIRST)
    assert store(engine, SECOND) == 2 * len(FIRST)
    return engine


def test_the_first_stays(contradicted: Engine) -> None:
    """To keep the first resolves the conflict in both stages and changes no row."""
    done = resolve(contradicted, 1, Keep.FIRST)

    assert [(each.stage, each.kept) for each in done] == [("lake", "first"), ("clean", "first")]
    assert rebuilt(contradicted) == FIRST
    assert paths(contradicted) == ["/one", "/two"]
    assert audit(contradicted, {KEY: len(FIRST)}, deep=True).complete
    assert list(contradictions(contradicted)) == []
    assert len(list(contradictions(contradicted, resolved=True))) == 2


@pytest.mark.parametrize("conflict_id", [1, 2])
def test_the_second_takes_its_place(contradicted: Engine, conflict_id: int) -> None:
    """To keep the second replaces rows and segments of both stages, whichever stage is named."""
    resolve(contradicted, conflict_id, Keep.SECOND)

    assert rebuilt(contradicted) == SECOND
    assert paths(contradicted) == ["/uno", "/dos"]
    assert audit(contradicted, {KEY: len(FIRST)}, deep=True).complete


def test_the_loser_is_kept_and_opens_nothing_again(contradicted: Engine) -> None:
    """What lost is what the conflict keeps from then on; its redelivery leaves the audit clean."""
    resolve(contradicted, 1, Keep.SECOND)

    assert [each.second for each in contradictions(contradicted, resolved=True)] == [FIRST, FIRST]
    assert store(contradicted, FIRST) == 2 * len(FIRST)
    assert store(contradicted, SECOND) == 0
    assert audit(contradicted, None).complete


def test_a_choice_can_be_made_again(contradicted: Engine) -> None:
    """The other way round gives the first bytes back, in both stages."""
    resolve(contradicted, 1, Keep.SECOND)
    resolve(contradicted, 2, Keep.SECOND)

    assert rebuilt(contradicted) == FIRST
    assert paths(contradicted) == ["/one", "/two"]
    assert audit(contradicted, None, deep=True).complete


def test_a_part_of_a_segment_is_replaced_within_its_lines(engine: Engine) -> None:
    """Bytes beside the range stay, though the range begins and ends inside lines."""
    whole = BEFORE + FIRST + AFTER
    store(engine, whole)
    start, end = len(BEFORE) - 5, len(BEFORE) + len(FIRST) + 5
    assert store(engine, b"#" * (end - start), start, (LakeStore,)) == end - start

    resolve(engine, 1, Keep.SECOND)

    assert rebuilt(engine) == whole[:start] + b"#" * (end - start) + whole[end:]
    assert audit(engine, None, deep=True).complete


def test_stages_that_took_different_firsts_end_alike(engine: Engine) -> None:
    """Where each stage has what the other keeps apart, one choice gives both the same bytes."""
    store(engine, FIRST, stages=(LakeStore,))
    store(engine, SECOND, stages=(CleanStore,))
    store(engine, SECOND, stages=(LakeStore,))
    store(engine, FIRST, stages=(CleanStore,))

    done = resolve(engine, 1, Keep.SECOND)

    assert [(each.stage, each.kept) for each in done] == [("lake", "second"), ("clean", "first")]
    assert (rebuilt(engine), paths(engine)) == (SECOND, ["/uno", "/dos"])
    assert audit(engine, None, deep=True).complete
    resolve(engine, 2, Keep.SECOND)
    assert (rebuilt(engine), paths(engine)) == (FIRST, ["/one", "/two"])


def test_another_range_stays_open(engine: Engine) -> None:
    """A conflict about other bytes of the source is not touched."""
    store(engine, FIRST)
    store(engine, AFTER, len(FIRST))
    store(engine, SECOND)
    store(engine, line("/apres")[1:], len(FIRST))

    resolve(engine, 1, Keep.SECOND)

    assert [(each.stage, each.start) for each in contradictions(engine)] == [
        ("lake", len(FIRST)),
        ("clean", len(FIRST)),
    ]


def test_both_contents_can_be_seen(contradicted: Engine) -> None:
    """A conflict shows what is stored and what is kept apart."""
    for conflict_id in (1, 2):
        found = contradiction(contradicted, conflict_id)

        assert (found.first, found.second) == (FIRST, SECOND)
        assert (found.start, found.end, found.path) == (0, len(FIRST), "/log")


def test_nothing_changes_where_the_lake_lacks_the_rest(engine: Engine) -> None:
    """A clean segment that reaches beyond the lake's gap cannot be made anew: it stays as it was."""
    store(engine, FIRST, stages=(LakeStore,))
    store(engine, FIRST + AFTER, stages=(CleanStore,))
    store(engine, SECOND, stages=(CleanStore,))
    before = paths(engine)

    with pytest.raises(LakeGap):
        resolve(engine, 1, Keep.SECOND)

    assert paths(engine) == before
    assert len(list(contradictions(engine))) == 1


def test_an_unknown_id_is_named(engine: Engine) -> None:
    """There is nothing to resolve without a conflict."""
    with pytest.raises(ConfigurationError, match="no conflict has the id 7"):
        resolve(engine, 7, Keep.FIRST)


def test_segments_tell_the_new_bytes(contradicted: Engine) -> None:
    """The segment of the replaced range has the checksum and the counts of what stands there now."""
    resolve(contradicted, 1, Keep.SECOND)

    query = text("SELECT stage, checksum, record_count, rejected_count FROM segments ORDER BY stage")
    with reading(contradicted) as connection:
        found = [
            (stage, bytes(c), records, rejected) for stage, c, records, rejected in connection.execute(query)
        ]
    digest = hashlib.sha256(SECOND).digest()
    assert found == [("clean", digest, 2, 1), ("lake", digest, 3, 0)]
