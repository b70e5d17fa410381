"""A running system after an update: what the old version of a format read is read again by itself."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.engine import make_engine, reading
from pipeline import failpoint
from pipeline.formats.ncsa import COMBINED
from tests import older
from tests.acceptance.installation import Installation, answer, prepared
from tests.services import wait_until

pytestmark = pytest.mark.slow

#: Segments, each of so many lines.
SEGMENTS, LINES = 12, 200


@pytest.fixture(params=["embedded", "servers"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """Return an installation with a migrated database: embedded, or on RabbitMQ and PostgreSQL.

    Its first range takes so long that the rest needs further slices.
    """
    variables = {
        "SLUICE_AUDIT_SECONDS": "8",
        "SLUICE_REPLAY_SHARE": "0.9",
        failpoint.VARIABLE: f"replay.committing:1:sleep:{tmp_path / 'slept'}",
    }
    return prepared(request, tmp_path, variables)


@pytest.fixture
def engine(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Return an engine on a database whose segments an older version has read."""
    engine = make_engine(installation.database_url)
    older.store_by_older(engine, older.blocks(SEGMENTS, LINES), monkeypatch)
    yield engine
    engine.dispose()


@pytest.fixture
def running(installation: Installation, engine: Engine, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a run that follows a log without a line."""
    assert versions(engine) == {COMBINED.version - 1}
    log = tmp_path / "empty.log"
    log.touch()
    command = installation.start("run", log, "--json")
    yield command
    command.send_signal(signal.SIGINT)
    answer(command)


def versions(engine: Engine) -> set[int]:
    """Return the versions that are noted on the clean segments."""
    query = "SELECT DISTINCT f.version FROM segments s JOIN formats f ON f.id = s.format_id"
    with reading(engine) as connection:
        return set(connection.scalars(text(query)))


def refused(engine: Engine) -> int:
    """Return the rejected lines that only the older version refuses."""
    query = "SELECT count(*) FROM rejected_lines WHERE reason LIKE '%older version%'"
    with reading(engine) as connection:
        return int(connection.execute(text(query)).scalar_one())


def stored(engine: Engine) -> tuple[str, str]:
    """Return when the first and the last of the clean segments were stored."""
    query = "SELECT min(stored_at), max(stored_at) FROM segments WHERE stage = 'clean'"
    with reading(engine) as connection:
        first, last = connection.execute(text(query)).one()
    return str(first), str(last)


@pytest.mark.timeout(300)
def test_a_risen_version_is_replayed_without_a_person(
    running: subprocess.Popen[str], installation: Installation, engine: Engine
) -> None:
    """Beat finds what an older version read and rejected; an order of a person is done as well."""
    assert refused(engine) > 0
    wait_until(lambda: versions(engine) == {COMBINED.version}, "today's version", 100)
    assert refused(engine) == 0
    rest = "then what an older version read, from source 1 at byte"
    wait_until(lambda: rest in installation.log("lake"), "the word of the first slice")
    assert audit(engine, None, deep=True).complete
    _, last = stored(engine)

    sent = installation.answer("replay", "clean", "--background", "--all")

    assert sent["task"] == "replay.clean"
    wait_until(lambda: stored(engine)[0] > last, "every segment anew", 100)
    wait_until(lambda: "ranges replaced" in installation.log("lake"), "the task's word")
    assert audit(engine, None, deep=True).complete
    assert running.poll() is None
