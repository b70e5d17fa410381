"""One subject erased on both databases: its lines go, every other stays, and the proofs stay true."""

import uuid
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.cleaned import Choice
from db.counting import count
from db.engine import reading
from db.erasure import look
from db.erasure_claims import claim_batches
from db.erasure_search import Search
from db.removals import Kind as RemovalKind
from db.removing import Reason
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.subject import Kind, subject
from tests.integration.erasing import (
    ALIKE,
    MIXED,
    NOW,
    OWN,
    SOURCE,
    STAGES,
    STARTS,
    USER,
    erased,
    everything,
    held,
    is_true,
    line,
    store,
    values,
)

OTHER = Source("cd" * 16, "web-1", "/log/b", format="combined")


@pytest.mark.parametrize("batches", [1, 10])
def test_its_lines_go_and_every_other_stays(engine: Engine, batches: int) -> None:
    """Whatever holds a line, and however lines are batched, the audit stays true and nothing else is lost."""
    parts = [b"".join(MIXED)] if batches == 1 else MIXED
    position = 0
    for part in parts:
        store(engine, part, position)
        position += len(part)
    assert "jane.doe" in everything(engine)

    found = erased(engine)

    assert (found.by_field, found.left) == (2, {})
    assert dict(found.rows) == {"raw_logs": 5, "clean_records": 4, "rejected_lines": 1}
    assert held(engine) == ALIKE
    assert not USER.holds(everything(engine))
    assert values(engine, "SELECT line_start FROM clean_records ORDER BY 1") == [
        STARTS[number] for number in (0, 2, 6, 8)
    ]
    assert is_true(engine, position)
    assert found.ranges == {1: [(STARTS[number], STARTS[number + 1]) for number in (1, 3, 5, 7, 9)]}


def test_a_second_call_finds_nothing(engine: Engine) -> None:
    """What was erased is not found again, and nothing is noted for it."""
    store(engine, b"".join(MIXED))
    erased(engine)
    before = values(engine, "SELECT count(*) FROM removals")

    again = erased(engine)

    assert (dict(again.rows), again.ranges, again.left) == ({}, {}, {})
    assert values(engine, "SELECT count(*) FROM removals") == before


def test_a_look_changes_nothing(engine: Engine) -> None:
    """A dry run finds the same lines, and every table is as it was."""
    store(engine, b"".join(MIXED))
    before = everything(engine)

    seen = look(engine, Search(USER))

    assert everything(engine) == before
    done = erased(engine)
    assert (seen.rows, seen.ranges, seen.by_field, seen.by_text) == (
        done.rows, done.ranges, done.by_field, done.by_text,
    )  # fmt: skip


def test_nothing_brings_it_back(engine: Engine) -> None:
    """Redeliveries of any bounds store nothing and open no conflict; a replay reads what is left."""
    whole = b"".join(MIXED)
    store(engine, whole)
    erased(engine)

    assert store(engine, whole) == 0
    cut = len(b"".join(MIXED[:4]))
    assert store(engine, whole[:cut]) == store(engine, whole[cut:], cut) == 0
    tally = replay(engine, list_sources(engine)[0], Choice(redo=True))

    assert (tally.replaced, tally.lines) == (1, len(ALIKE))
    assert held(engine) == ALIKE
    assert not USER.holds(everything(engine))
    assert is_true(engine, len(whole))


@pytest.mark.parametrize("first", STAGES)
def test_a_stage_that_comes_later_stores_none_of_it(engine: Engine, first: Any) -> None:
    """Where only one stage had the lines when they were erased, the other gets those beside them."""
    whole = b"".join(MIXED)
    store(engine, whole, stages=(first,))
    erased(engine)

    store(engine, whole)

    assert not USER.holds(everything(engine))
    assert held(engine) == ALIKE
    assert values(engine, "SELECT count(*) FROM clean_records") == [4]
    assert values(engine, "SELECT count(*) FROM rejected_lines") == [1]
    assert is_true(engine, len(whole))
    for number, part in enumerate(MIXED):
        assert store(engine, part, STARTS[number]) == 0
    assert values(engine, "SELECT count(*) FROM conflicts") == [0]


def test_lines_of_dead_letters_are_never_stored(engine: Engine) -> None:
    """Lines of a source that nobody knows yet are claimed; a delivery stores those beside them."""
    whole = b"".join(MIXED)
    lines = [Batch(SOURCE, STARTS[number], MIXED[number]) for number in (1, 3, 5, 7, 9)]

    claim_batches(engine, lines, Reason(RemovalKind.ERASURE, NOW, uuid.uuid4()))
    store(engine, whole)

    assert held(engine) == ALIKE
    assert is_true(engine, len(whole))


def test_counts_follow(engine: Engine) -> None:
    """Counts for reports lose the erased records and the values of them, and no other."""
    store(engine, b"".join(MIXED))
    count(engine)
    assert "/users/jane.doe/photo" in values(engine, "SELECT value FROM traffic_days")

    assert erased(engine).left == {}
    count(engine)

    days = "SELECT value, sum(hits) FROM traffic_days WHERE kind = 'path' GROUP BY 1 HAVING sum(hits) <> 0"
    with reading(engine) as connection:
        counted = {value: int(hits) for value, hits in connection.execute(text(days))}
    assert counted == {"/": 3, "/mary-jane.doer": 1}
    assert not USER.holds("\n".join(values(engine, "SELECT value FROM traffic_days")))


def test_words_of_a_path_can_be_left(engine: Engine) -> None:
    """With fields only, a parsed line goes by its own column; what does not parse still goes by its text."""
    store(engine, b"".join(MIXED))

    found = erased(engine, fields_only=True)

    assert dict(found.rows) == {"raw_logs": 3, "clean_records": 2, "rejected_lines": 1}
    assert set(held(engine)) == {*ALIKE, OWN[1], OWN[2]}


def test_a_source_alone(engine: Engine) -> None:
    """Of another source nothing goes."""
    for source in (SOURCE, OTHER):
        store(engine, b"".join(MIXED), source=source)

    erased(engine, source_id=1)

    assert held(engine) == ALIKE
    assert held(engine, 2) == MIXED


@pytest.mark.parametrize(
    ("who", "own"),
    [
        (subject(Kind.IP, "192.0.2.1"), [line(ip="192.0.2.1"), b"client: 192.0.2.1, refused\n"]),
        (subject(Kind.IP, "2001:db8::1"), [line(ip="2001:db8:0::1"), line(ip="2001:DB8::1")]),
        (
            subject(Kind.EMAIL, "Jane@example.org"),
            [line("jane@Example.org"), line(path="/?JANE%40example.org")],
        ),
        (subject(Kind.TEXT, "photo 17"), [line(agent="photo 17b"), b"xphoto 17\n"]),
        (subject(Kind.USER, "Zoë"), [line("Zoë"), line(path="/Zo%C3%AB"), b"Zo\xc3\xab \xff\n"]),
    ],
)
def test_each_kind_of_value(engine: Engine, who: Any, own: list[bytes]) -> None:
    """Addresses, e-mail addresses, texts and names are found however a line writes them."""
    alike = [line(ip="192.0.2.10"), line(ip="2001:db8::12"), line("jane@example.org.uk"), line(agent="photo")]
    store(engine, b"".join([*own, *alike]))

    assert erased(engine, who).left == {}
    assert held(engine) == alike
    assert is_true(engine)


@pytest.mark.slow
def test_many_lines_in_several_transactions(engine: Engine) -> None:
    """More lines than one transaction takes, spread over segments of both stages with other bounds."""
    lines = [line("jane.doe" if number % 3 else f"u{number}") for number in range(1800)]

    def stored(stage: Any, sizes: Iterable[int]) -> None:
        place = position = 0
        for size in sizes:
            block = b"".join(lines[place : place + size])
            store(engine, block, position, stages=(stage,))
            place, position = place + size, position + len(block)

    stored(LakeStore, [700, 700, 400])
    stored(CleanStore, [500, 900, 400])
    count(engine)

    found = erased(engine)

    assert found.rows["raw_logs"] == found.rows["clean_records"] == 1200
    assert held(engine) == [each for each in lines if b"jane" not in each]
    assert is_true(engine, len(b"".join(lines)))
