"""The task of the detections: what it says, and what it waits for."""

import logging
from pathlib import Path

import pytest

from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.settings import Settings
from tasks import detect, stores
from tests.databases import migrate

LINE = b'203.0.113.1 - - [01/Mar/2026:00:00:09 +0000] "GET /.env?\x1b HTTP/1.1" 200 12 "-" "curl/8"\n'


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    for made in (stores.settings, stores.engine, stores.detections):
        made.cache_clear()


def test_a_finding_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, without a word of the line, and counted for Flower."""
    migrate(Settings.from_environment().sqlalchemy_url)
    source = Source("ab" * 16, "web-1", "/a.log", format="combined")
    CleanStore(stores.engine()).store(Batch(source, 0, LINE))

    with caplog.at_level(logging.WARNING):
        said = detect.look()

    assert said == "noticed: 1 findings"
    (record,) = caplog.records
    assert record.getMessage().startswith("finding 1: sensitive-file (medium), source 1, 1 records: see ")
    assert ".env" not in record.getMessage()
    assert detect.look() == "noticed: 0 findings"
    stores.engine().dispose()


def test_a_database_that_is_not_there_is_waited_for() -> None:
    """Without a schema the look is left to the next time."""
    assert detect.look().startswith("not now: ")
    stores.engine().dispose()
