"""The report of each day is written once, whole, or later."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from db.engine import make_engine
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.settings import Settings
from tasks import report, stores

Run = Callable[[], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of the reports."""
    made = tmp_path / "reports"
    made.mkdir()
    return made


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the task over a database with one record of yesterday."""
    settings = Settings(state_dir=tmp_path / "var", database_url=SecretStr(sqlite_url), report_dir=folder)
    engine = make_engine(sqlite_url)
    monkeypatch.setattr(stores, "settings", lambda: settings)
    monkeypatch.setattr(stores, "engine", lambda: engine)
    stamp = (datetime.now(UTC) - timedelta(days=1)).strftime("%d/%b/%Y:12:00:00 +0000")
    line = f'203.0.113.9 - - [{stamp}] "GET /only-once HTTP/1.1" 200 10 "-" "curl/8"\n'.encode()
    CleanStore(engine).store(Batch(Source("ab" * 16, "web-1", "/a.log", format="combined"), 0, line))
    return report.write


def test_yesterday_is_written_once(run: Run, folder: Path) -> None:
    """A file with the day in its name and its figures in it; the next time there is nothing to do."""
    day = datetime.now(UTC) - report.REST - timedelta(days=1)
    assert run() == f"wrote sluice-{day:%Y-%m-%d}.html"
    assert run() == "written before"

    (path,) = folder.iterdir()
    assert "/only-once" in path.read_text()


def test_without_a_folder_nothing_is_done(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is off where it is not asked for."""
    monkeypatch.setattr(stores, "settings", lambda: settings)

    assert run() == "no folder is set"


def test_what_is_away_is_waited_for(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half report is written; the next one on the schedule tries again."""
    away = make_engine("postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(stores, "engine", lambda: away)

    assert run().startswith("not now: ")
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_gone_is_named(run: Run, folder: Path) -> None:
    """In the answer that Flower shows."""
    folder.rmdir()

    assert "reports" in run()
