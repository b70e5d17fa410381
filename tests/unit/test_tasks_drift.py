"""The task that looks for drifts: what it says, and what it does not load."""

import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_blocks
from pipeline.settings import Settings
from tasks import drift, stores
from tests.databases import migrate

HEAVY = ("river", "numpy", "scipy", "drain3")


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    for made in (stores.settings, stores.engine):
        made.cache_clear()


def test_a_drift_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A drift is logged once, with what changed and where, and counted for Flower."""
    migrate(Settings.from_environment().sqlalchemy_url)
    start = 0
    for broken, count in ((0.0, 25_000), (0.3, 5_000)):
        for lines in generate_blocks(count, seed=1, broken=broken, start=datetime(2026, 1, 1, tzinfo=UTC)):
            block = b"".join(lines)
            CleanStore(stores.engine()).store(Batch(Source("ab" * 16, "web-1", "/a.log"), start, block))
            start += len(block)

    with caplog.at_level(logging.WARNING):
        said = drift.look()

    assert said == "noticed: 1 drifts"
    (record,) = caplog.records
    assert record.getMessage().startswith("drift 1 of source 1: rejected: lines 0.00 % → ")
    assert drift.look() == "noticed: 0 drifts"
    stores.engine().dispose()


def test_a_database_that_is_not_there_is_waited_for() -> None:
    """Without a schema the look is left to the next time."""
    assert drift.look().startswith("not now: ")
    stores.engine().dispose()


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    """Neither the worker nor the command loads numpy, scipy, river or drain3 when it starts."""
    modules = "tasks.drift, db.drifting, pipeline.cli.drift, pipeline.cli.status"
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"

    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert found.stdout.strip() == "[]"
