"""One subject erased on both databases: its lines go, every other stays, and the proofs stay true."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.cleaned import Choice
from db.conflicts import conflict_block
from db.counting import count
from db.engine import reading, transaction
from db.erasure import TABLES, Erased, erase, look
from db.erasure_claims import claim_batches
from db.erasure_search import Search
from db.models import Base, Conflict
from db.rebuild import rebuild
from db.removals import Kind as RemovalKind
from db.removing import Reason
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.formats import privacy
from pipeline.subject import Kind, readable, subject

SOURCE = Source("ab" * 16, "web-1", "/log/a", format="combined")
OTHER = Source("cd" * 16, "web-1", "/log/b", format="combined")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = b"k" * 32
USER = subject(Kind.USER, "jane.doe")
STAGES = (LakeStore, CleanStore)


def line(user: str = "-", path: str = "/", agent: str = "x", ip: str = "198.51.100.7") -> bytes:
    """Return a line of the combined format."""
    head = f'{ip} - {user} [01/Mar/2023:00:00:09 +0000] "GET {path} HTTP/1.1" 200 12'
    return f'{head} "-" "{agent}"\n'.encode()


#: Lines with the subject, by how they hold it, between others that only look alike.
OWN = [
    line("jane.doe"),
    line(path="/users/jane.doe/photo"),
    line(agent="jane.doe's browser"),
    b"no request by jane.doe\n",
    line("jane.doe", path="/caf\xe9".encode("latin-1").decode("latin-1")).replace("é".encode(), b"\xe9"),
]
ALIKE = [line("jane.doe2"), line(path="/mary-jane.doer"), b"no request\n", line("ann"), line("bob")]
MIXED = [part for pair in zip(ALIKE, OWN, strict=True) for part in pair]
STARTS = [sum(map(len, MIXED[:number])) for number in range(len(MIXED) + 1)]


def store(engine: Engine, block: bytes, start: int = 0, source: Source = SOURCE, stages: Any = STAGES) -> int:
    """Store a block; return how many of its bytes were new."""
    return sum(stage(engine).store(Batch(source, start, block)).new_bytes for stage in stages)


def erased(engine: Engine, who: Any = USER, **search: Any) -> Erased:
    """Erase a subject."""
    return erase(engine, Search(who, **search), uuid.uuid4(), NOW)


def values(engine: Engine, query: str) -> list[Any]:
    """Return the values of one column."""
    with reading(engine) as connection:
        return list(connection.scalars(text(query)))


def everything(engine: Engine) -> str:
    """Return every value of every table as text, blocks of conflicts unpacked."""
    found: list[bytes] = []
    with reading(engine) as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(table.select()):
                if table.name == Conflict.__tablename__:
                    found.append(conflict_block(Conflict(**row._mapping)))
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return readable(b"\0".join(found))


def held(engine: Engine, source_id: int = 1) -> list[bytes]:
    """Return the lines that the lake holds of a source, erased ones left out."""
    whole = b"".join(rebuild(engine, source_id, blank=True))
    return [found for found in whole.splitlines(keepends=True) if found.strip()]


def is_true(engine: Engine, end: int | None = None) -> bool:
    """Return whether plain and deep audits find nothing."""
    offsets = None if end is None else {SOURCE.key: end}
    return audit(engine, offsets).complete and audit(engine, offsets, deep=True).complete


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


def test_pseudonyms_are_found_without_the_lake(engine: Engine) -> None:
    """Where clean holds pseudonyms and the lake has no line any more, the key finds the records."""
    privacy.adopt(privacy.Policy({"user_name": lambda value: privacy.pseudonym(KEY, value)}))
    try:
        store(engine, b"".join(MIXED), stages=(CleanStore,))
    finally:
        privacy.adopt(privacy.Policy())
    pseudonym = privacy.pseudonym(KEY, "jane.doe")
    assert values(engine, "SELECT user_name FROM clean_records").count(pseudonym) == 2

    found = erased(engine, subject(Kind.USER, "jane.doe", KEY))

    assert found.by_field == 2
    assert pseudonym not in values(engine, "SELECT user_name FROM clean_records")
    assert "/mary-jane.doer" in values(engine, "SELECT path FROM clean_records")


def test_a_line_in_parts_goes_whole(engine: Engine) -> None:
    """Of a line that was too long for one row every part goes, even where the value lies across two."""
    parts = [b"a" * 100 + b" jane", b".doe " + b"b" * 100, b"c" * 20 + b"\n"]
    before, behind = line("ann"), line("bob")
    position = 0
    for part in (before, *parts, behind):
        store(engine, part, position, stages=(LakeStore,))
        position += len(part)

    erased(engine)

    assert held(engine) == [before, behind]


def test_other_contents_lose_their_lines(engine: Engine) -> None:
    """A conflict keeps its bytes but for stars, and what was blanked does not come back as another one."""
    store(engine, line("ann") + line("bob"))
    second = line("joe") + b"by jane.doe".ljust(len(line("bob")) - 1) + b"\n"
    assert len(second) == len(line("ann") + line("bob"))
    store(engine, second)

    found = erased(engine)

    assert found.rows["conflicts"] == 2
    with reading(engine) as connection:
        rows = connection.execute(Base.metadata.tables["conflicts"].select()).mappings().all()
    blocks = [conflict_block(Conflict(**row)) for row in rows]
    assert blocks == [line("joe") + b"*" * (len(line("bob")) - 1) + b"\n"] * 2
    store(engine, second)
    assert values(engine, "SELECT count(*) FROM conflicts") == [2]
    assert not USER.holds(everything(engine))


#: Rows of what was noticed of lines, with and without the subject.
NOTICED = {
    "drift_events": {
        "kind": "values", "start_offset": 0, "end_offset": 9, "changes": [{"name": "paths", "after": 1}],
        "examples": {"after": [{"offset": 0, "line": "a jane.doe b"}, {"offset": 5, "line": "other"}]},
        "noticed_at": NOW,
    },
    "drift_states": {"position": 0, "state": {"m": [["user jane.doe", 3], ["other", 4]]}, "looked_at": NOW},
    "detection_states": {"position": 0, "state": {"by": {"jane.doe": 1, "other": 2}}, "looked_at": NOW},
    "silences": {"target": "jane.doe", "made_at": NOW, "until": NOW, "reason": "other"},
    "alerts": {
        "channel": "mail", "content": {"text": "jane.doe did it", "n": 1}, "made_at": NOW, "due_at": NOW,
        "attempts": 0,
    },
    "findings": {
        "kind": "security", "rule": "brute-force", "severity": "high", "subject": "jane.doe", "since": NOW,
        "until": NOW, "noticed_at": NOW, "seen_at": NOW, "count": 3, "summary": "3 by other", "evidence": [],
        "state": "open",
    },
}  # fmt: skip


def test_what_was_noticed_of_lines_loses_their_text(engine: Engine) -> None:
    """Examples, templates, findings and alerts get stars for the text, whatever else they say stays."""
    store(engine, line("ann"))
    with transaction(engine) as connection:
        for name, row in NOTICED.items():
            table = Base.metadata.tables[name]
            own = {"source_id": 1} if "source_id" in table.c else {}
            connection.execute(table.insert().values({**row, **own}))
        for other in ("jane.doe", "by jane.doe"):
            table = Base.metadata.tables["findings"]
            row = {**NOTICED["findings"], "subject": other, "rule": "scan", "source_id": 1}
            connection.execute(table.insert().values(row))

    found = erased(engine)

    assert {name: found.rows[name] for name in NOTICED} == dict.fromkeys(NOTICED, 1) | {"findings": 3}
    assert set(NOTICED) < set(TABLES)
    remains = everything(engine)
    assert not USER.holds(remains)
    for kept in ("'line': 'other'", "['other', 4]", "'other': 2", "3 by other", "brute-force"):
        assert kept in remains
    assert values(engine, "SELECT count(*) FROM findings") == [2]


def test_records_that_continue_go_with_the_first(engine: Engine) -> None:
    """The lines of a stack trace go with the line that they continue."""
    source = Source("ef" * 16, "web-1", "/log/app", format="application")
    own = b"2023-03-01 00:00:09 ERROR login of jane.doe\n  at a.b\n  at c.d\n"
    store(engine, own + b"2023-03-01 00:00:10 INFO other\n  at e.f\n", source=source)
    assert values(engine, "SELECT count(*) FROM clean_records WHERE continues IS NOT NULL") == [3]

    erased(engine)

    assert held(engine) == [b"2023-03-01 00:00:10 INFO other\n", b"  at e.f\n"]


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
