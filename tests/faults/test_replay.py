"""A replay killed in the middle, again and again, and resumed: the result is that of a first ingestion."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import counting, schema
from db.audit import audit
from db.cleaned import Choice
from db.engine import make_engine, reading
from db.slices import Order
from pipeline import failpoint, maintenance
from pipeline.formats.ncsa import COMBINED
from tests import older
from tests.faults.databases import new_database
from tests.faults.system import LAKE, Place, Role, running
from tests.recount import differences
from tests.services import wait_until

pytestmark = pytest.mark.faults

SEGMENTS, LINES = 12, 100
#: The range at whose commit the replay is killed, each time counted anew.
TURN = 4
#: Everything that a first ingestion leaves, but for numbers and times that are the database's own.
TABLES = {
    "clean": "SELECT * FROM clean_logs",
    "rejected": "SELECT r.line_start, r.position, r.reason, r.line, r.raw, f.name, f.version "
    "FROM rejected_lines r JOIN formats f ON f.id = r.format_id",
    "ledger": "SELECT s.stage, s.start_offset, s.end_offset, s.checksum, s.line_count, s.record_count, "
    "s.rejected_count, s.is_counted, f.name, f.version "
    "FROM segments s LEFT JOIN formats f ON f.id = s.format_id",
    "minutes": "SELECT minute, status, rest_method, host, sum(hits), sum(bytes) FROM traffic_minutes "
    "GROUP BY 1, 2, 3, 4 HAVING sum(hits) <> 0 OR sum(bytes) <> 0",
    "days": "SELECT day, kind, value, status, sum(hits), sum(bytes) FROM traffic_days "
    "GROUP BY 1, 2, 3, 4 HAVING sum(hits) <> 0 OR sum(bytes) <> 0",
}

NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Return a function that makes a migrated database, once of each kind."""
    numbers = iter(range(10))

    def make() -> str:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"
        else:
            url = new_database(request.getfixturevalue("postgres"))
        schema.upgrade(url)
        return url

    return make


@pytest.fixture
def expected(new_url: NewUrl) -> Iterator[Engine]:
    """Return an engine on a database into which today's version has read everything first."""
    engine = make_engine(new_url())
    older.store(engine, older.blocks(SEGMENTS, LINES))
    yield engine
    engine.dispose()


def contents(engine: Engine) -> dict[str, list[str]]:
    """Count what is not counted, and return every row that a first ingestion leaves, sorted."""
    counting.count(engine)
    found = {}
    with reading(engine) as connection:
        for name, query in TABLES.items():
            rows = connection.execute(text(query)).mappings()
            found[name] = sorted(str({k: _plain(v) for k, v in row.items()}) for row in rows)
    return found


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else str(value)


def versions(engine: Engine) -> list[int]:
    """Return the version noted on each clean segment, in order."""
    query = "SELECT f.version FROM segments s JOIN formats f ON f.id = s.format_id ORDER BY s.start_offset"
    with reading(engine) as connection:
        return list(connection.scalars(text(query)))


def replay(url: str, tmp_path: Path, trap: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with a failpoint."""
    variables = {"DATABASE_URL": url, "SLUICE_STATE_DIR": str(tmp_path / "var"), failpoint.VARIABLE: trap}
    variables["SLUICE_ENRICH"] = "none"  # as `older` stores
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "replay", "clean", "--json"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("kept_lines", [1, LINES + 1], ids=["tallies", "no tallies"])
def test_killed_in_the_middle_and_resumed(
    new_url: NewUrl, expected: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_lines: int
) -> None:
    """Killed twice before a commit, the replay ends with the rows, the ledger and the counts of today's."""
    monkeypatch.setattr(counting, "KEPT_LINES", kept_lines)
    url = new_url()
    engine = make_engine(url)
    older.store_by_older(engine, older.blocks(SEGMENTS, LINES), monkeypatch)
    wanted, old = contents(expected), contents(engine)
    assert [name for name in TABLES if old[name] != wanted[name]] == list(TABLES)
    today, before = COMBINED.version, COMBINED.version - 1

    for kills in (1, 2):
        killed = replay(url, tmp_path, f"replay.committing:{TURN}:kill:{tmp_path / f'marker{kills}'}")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = kills * (TURN - 1)
        assert versions(engine) == [today] * done + [before] * (SEGMENTS - done)
        assert audit(engine, None, deep=True).complete
        assert differences(engine, [1]) == []
    ended = replay(url, tmp_path)

    assert ended.returncode == 0, ended.stderr
    counts = json.loads(ended.stdout.splitlines()[-1])
    assert (counts["replaced"], counts["skipped"]) == (SEGMENTS - done, done)
    assert audit(engine, None, deep=True).complete
    assert contents(engine) == wanted
    engine.dispose()


def test_a_pool_killed_in_the_middle(
    new_place: Callable[[str, str], Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake pool that dies in the middle of a slice gets it again, and nothing is missing or doubled."""
    reference = make_engine(f"sqlite:///{tmp_path / 'reference.db'}")
    schema.upgrade(reference.url.render_as_string())
    older.store(reference, older.blocks(SEGMENTS, LINES))
    marker = tmp_path / "marker"
    with running(new_place("embedded://localhost//", "")) as system:
        older.store_by_older(system.engine, older.blocks(SEGMENTS, LINES), monkeypatch)
        system.start(
            LAKE,
            Role({failpoint.VARIABLE: f"replay.committing:{TURN}:kill:{marker}", "SLUICE_ENRICH": "none"}),
        )
        order = Order(Choice())
        maintenance.send(system.settings, maintenance.REPLAY_TASK, order.encode(), words=f"({order})")
        wait_until(lambda: set(versions(system.engine)) == {COMBINED.version}, "today's version")

        assert marker.exists()
        assert audit(system.engine, None, deep=True).complete
        assert contents(system.engine) == contents(reference)
        system.healthy = True
    reference.dispose()
