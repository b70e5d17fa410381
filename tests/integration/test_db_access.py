"""Who accessed what, on both databases, compared with counts made from the same lines without a database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine

from db.access import Question, accesses, summary
from db.store import CleanStore
from pipeline.batch import Batch, Source

USERS = ("ann", "joanne", "-", "jane.doe@example.org")
PATHS = ("/a", "/A", "/a/b", "/b%20c", "/a_b")
FIRST = datetime(2023, 3, 1, tzinfo=UTC)
#: Time, user, path and size of each access: every user asks for every path, by turns.
ACCESSES = [
    (FIRST + timedelta(minutes=7 * number), user, path, number)
    for number, (_, user, path) in enumerate(product(range(6), USERS, PATHS))
]


def line(access: tuple[datetime, str, str, int]) -> bytes:
    """Return the line of an access."""
    moment, user, path, size = access
    time = f"{moment:%d/%b/%Y:%H:%M:%S} +0000"
    return f'192.0.2.{len(user)} - {user} [{time}] "GET {path} HTTP/1.1" 200 {size} "-" "x"\n'.encode()


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """A database with the accesses, the later half in another source and stored first."""
    half = len(ACCESSES) // 2
    for number, part in ((2, ACCESSES[half:]), (1, ACCESSES[:half])):
        source = Source(f"{number}" * 32, "web-1", f"/log/{number}", format="combined")
        assert CleanStore(engine).store(Batch(source, 0, b"".join(map(line, part)))).rejected == 0
    return engine


def rows(engine: Engine, question: Question, asked: Any = accesses) -> list[dict[str, Any]]:
    """Return the rows of an answer by their columns."""
    with asked(engine, question, 7) as table:
        names = [column.name for column in table.columns]
        found = [row for chunk in table.chunks for row in zip(*chunk, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in found]


@pytest.mark.parametrize("user", USERS[:2])
def test_a_user(stored: Engine, user: str) -> None:
    """Every access of a user and of nobody else, in the order of time."""
    found = rows(stored, Question(users=(user,)))

    expected = [(moment, path, size) for moment, name, path, size in ACCESSES if name == user]
    assert [(row["timestamp"], row["url"], row["size_bytes"]) for row in found] == expected
    assert {row["user"] for row in found} == {user}
    assert {row["source"] for row in found} == {"/log/1", "/log/2"}
    assert {row["ip"] for row in found} == {f"192.0.2.{len(user)}"}


@pytest.mark.parametrize(
    ("resource", "paths"),
    [("/a", {"/a"}), ("/a*", {"/a", "/a/b", "/a_b"}), ("/b%20c", {"/b%20c"}), ("/a_*", {"/a_b"})],
)
def test_a_resource(stored: Engine, resource: str, paths: set[str]) -> None:
    """A path is compared letter by letter; only a star at its end is a sign, for all that begins so."""
    found = rows(stored, Question(resource=resource))

    assert [row["timestamp"] for row in found] == [moment for moment, _, path, _ in ACCESSES if path in paths]
    assert {row["user"] for row in found} == {None, *USERS} - {"-"}


def test_bounds_and_source(stored: Engine) -> None:
    """Since is part of the range, until is not; a source leaves out the others."""
    since, until = ACCESSES[10][0], ACCESSES[90][0]

    found = rows(stored, Question(users=("ann",), since=since, until=until, source_id=1))

    path = "/log/1" if {row["source"] for row in found} == {"/log/1"} else "/log/2"
    half = len(ACCESSES) // 2
    own = ACCESSES[:half] if path == "/log/1" else ACCESSES[half:]
    expected = [moment for moment, user, _, _ in own if user == "ann" and since <= moment < until]
    assert [row["timestamp"] for row in found] == expected
    assert 0 < len(expected) < sum(user == "ann" for _, user, _, _ in ACCESSES)


def test_sums_of_a_user_and_of_a_resource(stored: Engine) -> None:
    """Accesses, first, last and bytes of each resource of a user, and of each user of a resource."""
    of_user = rows(stored, Question(users=("ann",)), summary)
    of_resource = rows(stored, Question(resource="/a"), summary)

    hits = Counter(path for _, user, path, _ in ACCESSES if user == "ann")
    assert {row["path"]: row["accesses"] for row in of_user} == hits
    sizes: Counter[str | None] = Counter()
    times: dict[str | None, list[datetime]] = {}
    for moment, user, path, size in ACCESSES:
        if path == "/a":
            name = None if user == "-" else user
            sizes[name] += size
            times.setdefault(name, []).append(moment)
    assert {row["user"]: int(row["bytes"]) for row in of_resource} == sizes
    assert {row["user"]: (row["first"], row["last"]) for row in of_resource} == {
        name: (min(own), max(own)) for name, own in times.items()
    }
