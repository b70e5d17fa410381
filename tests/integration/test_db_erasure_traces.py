"""What else holds an erased subject: pseudonyms, parts of lines, conflicts, what was noticed of lines."""

from sqlalchemy import Engine

from db.conflicts import conflict_block
from db.engine import reading, transaction
from db.erasure import TABLES
from db.models import Base, Conflict
from db.store import CleanStore, LakeStore
from pipeline.batch import Source
from pipeline.formats import privacy
from pipeline.subject import Kind, subject
from tests.integration.erasing import MIXED, NOW, USER, erased, everything, held, line, store, values

KEY = b"k" * 32


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
