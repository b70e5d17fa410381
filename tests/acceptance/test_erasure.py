"""The whole pipeline, and one person erased from it: nothing is left anywhere, and the audit is content."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Connection, text

from db.conflicts import conflict_block
from db.engine import make_engine, reading
from db.models import Base, Conflict
from pipeline import dead, topology
from pipeline.batch import Batch, Source
from pipeline.depths import queue_depths
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.acceptance.installation import Installation, answer, prepared
from tests.services import wait_until

pytestmark = pytest.mark.slow

CANARY = "canary-of-jane"
OTHER = "somebody-else"


def line(user: str, path: str = "/") -> str:
    """Return a line of the combined format."""
    return f'192.0.2.1 - {user} [01/Mar/2023:00:00:09 +0000] "GET {path} HTTP/1.1" 200 12 "-" "x"\n'


#: Lines of two people, and what no format reads of each.
LINES = [
    line(OTHER),
    line(CANARY),
    line("-", f"/users/{CANARY}"),
    f"no request of {CANARY}\n",
    f"nor {OTHER}\n",
] * 40


@pytest.fixture(params=["embedded", "servers"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """An installation with a migrated database: embedded, or on RabbitMQ and PostgreSQL."""
    return prepared(request, tmp_path, {"SLUICE_BATCH_COUNT": "37"})


@pytest.fixture
def settings(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the installation's processes."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(installation.folder / "var"))
    for name, value in installation.variables.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment()


def run(installation: Installation, log: Path) -> None:
    """Stream a file to its end."""
    answer(installation.start("run", log, "--once", "--json"))


def bury(settings: Settings, batch: Batch) -> None:
    """Make a dead letter of a batch in the queue of each stage."""
    for stage in Stage:
        with Publisher(settings) as publisher:
            publisher.publish(batch, stage)
        with connect(settings) as connection, connection.channel() as channel:
            queue = topology.undeclared(topology.DATA_QUEUES[stage])(channel)
            wait_until(lambda queue=queue: (found := queue.get()) and (found.reject() or True), "the message")
        wait_until(lambda stage=stage: queue_depths(settings)[stage.queue_name].dead == 1, "the dead letter")


def values(connection: Connection) -> str:
    """Return every value of every table as text, blocks of conflicts unpacked."""
    found = []
    for table in Base.metadata.sorted_tables:
        for row in connection.execute(table.select()):
            if table.name == Conflict.__tablename__:
                found.append(repr(conflict_block(Conflict(**row._mapping))))
            found += map(repr, row)
    return "\n".join(found)


def everywhere(settings: Settings) -> dict[str, str]:
    """Return what tables and dead letters hold, as text."""
    engine = make_engine(settings.sqlalchemy_url)
    with reading(engine) as connection:
        places = {"tables": values(connection)}
    engine.dispose()
    for stage in Stage:
        letters = dead.browse(settings, stage.queue_name)
        places[stage.value] = repr([letter.batch and letter.batch.block for letter in letters])
    return places


def database_bytes(installation: Installation, settings: Settings) -> bytes:
    """Return the bytes of the files of all tables: of PostgreSQL's after its owner's VACUUM FULL."""
    if settings.embedded_database:
        folder = installation.folder / "var"
        return b"".join(path.read_bytes() for path in folder.glob("sluice.db*"))
    connection = psycopg2.connect(installation.database_url)
    connection.autocommit = True
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM FULL")
        cursor.execute("CHECKPOINT")
        cursor.execute(
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(oid) FROM pg_class "
            "WHERE relkind IN ('r', 'i', 't', 'm') AND pg_relation_filepath(oid) IS NOT NULL"
        )
        paths = [Path(path) for (path,) in cursor.fetchall()]
    finally:
        connection.close()
    return b"".join(path.read_bytes() for path in paths if path.exists())


def erased(installation: Installation, value: str, *arguments: str) -> dict[str, Any]:
    """Erase a user whose name comes by standard input, and return the receipt."""
    command = [sys.executable, "-m", "pipeline", "erase", "--user", "-", *arguments, "--json"]
    done = subprocess.run(
        command, env=installation.environment, input=value, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    receipt: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return receipt


@pytest.mark.timeout(300)
def test_one_person_is_erased_everywhere(
    installation: Installation, settings: Settings, tmp_path: Path
) -> None:
    """From all tables and dead letters; repairs, replays and redeliveries bring nothing back."""
    log = tmp_path / "a.log"
    log.write_text("".join(LINES))
    run(installation, log)
    (source,) = installation.answer("status")["sources"]
    size = log.stat().st_size
    rest = (line(OTHER) + line(CANARY) + f"buried {CANARY}\n" + line(OTHER)).encode()
    engine = make_engine(settings.sqlalchemy_url)
    with reading(engine) as connection:
        row = connection.execute(text("SELECT key, host, path FROM sources")).one()
    engine.dispose()
    bury(settings, Batch(Source(*row, format="combined"), size, rest))
    assert all(CANARY in held for held in everywhere(settings).values())

    receipt = erased(installation, CANARY, "--receipt", str(tmp_path / "receipt"))

    assert receipt["rows"] == {
        "raw_logs": 120, "clean_records": 80, "rejected_lines": 40,
        "queue-data-lake.dead": 1, "queue-data-clean.dead": 1,
    }  # fmt: skip
    assert (receipt["done"], receipt["left"], receipt["dead_lines"]) == (True, {}, 4)
    assert not [place for place, held in everywhere(settings).items() if CANARY in held]
    assert all(OTHER in held for held in everywhere(settings).values())
    assert CANARY.encode() not in database_bytes(installation, settings)
    assert CANARY not in (tmp_path / "receipt").read_text()

    installation.answer("dead", "replay")
    with log.open("ab") as file:
        file.write(rest)
    run(installation, log)
    installation.answer("audit", "--repair")
    installation.answer("replay", "clean", "--all")
    audited = installation.answer("audit", "--deep")
    assert (audited["missing_bytes"], audited["duplicate_lines"], audited["conflicts"]) == (0, 0, 0)
    assert not [place for place, held in everywhere(settings).items() if CANARY in held]
    assert everywhere(settings)["tables"].count(OTHER) >= 2 * 80 + 4
    assert installation.answer("erase", "--user", CANARY)["rows"] == {}
    assert source["path"] == str(log)
