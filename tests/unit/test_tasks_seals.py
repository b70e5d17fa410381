"""The task that closes the chain: what it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import transaction
from db.store import LakeStore
from db.unbroken import verify
from pipeline.batch import Batch, Source
from pipeline.settings import Settings
from tasks import seals, stores
from tests.databases import migrate

KEY = "s" * 32


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("SLUICE_SEAL_KEY", KEY)
    for made in (stores.settings, stores.engine):
        made.cache_clear()


def test_a_day_that_has_ended_is_sealed_with_the_key() -> None:
    """What was stored yesterday is sealed and signed, what was stored today waits."""
    migrate(Settings.from_environment().sqlalchemy_url)
    source = Source("ab" * 16, "web-1", "/a.log")
    for start in (0, 4):
        LakeStore(stores.engine()).store(Batch(source, start, b"one\n"))
    assert seals.close() == "sealed: 0 seals"
    yesterday = datetime.now(UTC) - timedelta(days=1)
    with transaction(stores.engine()) as connection:
        moved = text("UPDATE segments SET stored_at = :at WHERE start_offset = 0")
        connection.execute(moved, {"at": f"{yesterday:%Y-%m-%d %H:%M:%S}"})

    assert seals.close() == "sealed: 1 seals"

    (head,) = verify(stores.engine(), (KEY.encode(),)).heads
    assert (head.end, head.is_signed) == (4, True)
    stores.engine().dispose()


def test_a_database_that_is_not_there_is_waited_for() -> None:
    """Without a schema the chain is closed the next time."""
    assert seals.close().startswith("not now: ")
    stores.engine().dispose()
