"""Retention killed in the middle, again and again: the audit is true each time, and the last run ends it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db import schema
from db.audit import audit
from db.counting import count
from db.engine import make_engine, transaction
from db.partitions import partition_name
from db.store import CleanStore, LakeStore
from pipeline import failpoint
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines
from tests.faults.databases import new_database

pytestmark = pytest.mark.faults

SEGMENTS = 6
SOURCE = Source("ab" * 16, "web-1", "/log", format="combined")
BLOCK = b"".join(generate_lines(50, seed=1)) + b"no log line\n"
TABLES = ("raw_logs", "clean_records", "rejected_lines")
#: A day of the month that is old enough, a whole one, and the day of the other half of the segments.
OLD = date(2020, 2, 3)
LATER = datetime.now(UTC).date() - timedelta(days=40)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated database of each kind."""
    made = f"sqlite:///{tmp_path / 'logs.db'}"
    if request.param == "postgresql":
        made = new_database(request.getfixturevalue("postgres"))
    schema.upgrade(made)
    return made


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database with counted segments, half of them in an old month with partitions, and one of today."""
    engine = make_engine(url)
    for number in range(SEGMENTS + 1):
        for stage in (LakeStore(engine), CleanStore(engine)):
            stage.store(Batch(SOURCE, number * len(BLOCK), BLOCK))
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            for table in TABLES:
                part = partition_name(table, OLD.replace(day=1))
                bounds = "FOR VALUES FROM ('2020-02-01') TO ('2020-03-01')"
                connection.execute(text(f"CREATE TABLE {part} PARTITION OF {table} {bounds}"))
        for number in range(SEGMENTS):
            start, day = number * len(BLOCK), f"{OLD if number < SEGMENTS // 2 else LATER}"
            place = f"line_start >= {start} AND line_start < {start + len(BLOCK)}"
            for table in TABLES:
                connection.execute(text(f"UPDATE {table} SET stored_on = '{day}' WHERE {place}"))
            moved = f"UPDATE segments SET stored_at = '{day} 00:00:00' WHERE start_offset = {start}"
            connection.execute(text(moved))
    count(engine)
    yield engine
    engine.dispose()


Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command with a failpoint, a segment a slice."""

    def run_it(armed: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "SLUICE_STATE_DIR": str(tmp_path / "var"),
            "DATABASE_URL": url,
            "SLUICE_RETENTION": "lake=30,clean=30,rejected=30",
            failpoint.VARIABLE: armed,
        }
        small = "import db.expired, sys; db.expired.LINES_AT_ONCE = 1; from pipeline.cli.main import main; "
        code = f"{small}sys.exit(main(['retention', '--json']))"
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )

    return run_it


def complete(engine: Engine) -> bool:
    """Tell whether the deep audit passes."""
    return audit(engine, {SOURCE.key: (SEGMENTS + 1) * len(BLOCK)}, deep=True).complete


def removed(engine: Engine) -> int:
    """Return how many rows were noted as removed."""
    report = audit(engine, None)
    return sum(sums.lines for stage in ("lake", "clean") for sums in report.removed(stage).values())


def test_every_kill_leaves_a_true_audit(engine: Engine, run: Run, tmp_path: Path) -> None:
    """Killed at the commit of its first, second and third step, it has done what it committed and no more."""
    before = -1
    for turn in (1, 2, 3):
        killed = run(f"retention.committing:{turn}:kill:{tmp_path / f'marker-{turn}'}")

        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert complete(engine)
        assert removed(engine) > before or turn == 1
        before = removed(engine)

    done: dict[str, Any] = json.loads(run("").stdout.splitlines()[-1])

    assert done["lines"] > 0
    assert done["held"] == []
    assert removed(engine) == 2 * 51 * SEGMENTS
    assert complete(engine)
    with transaction(engine) as connection:
        left = [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() for table in TABLES]
    assert left == [51, 50, 1]
