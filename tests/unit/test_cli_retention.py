"""The command and the task of retention: what they say and what they end with."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.counting import count
from db.engine import transaction
from db.noting import close_stale, note
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.detect.sighting import Sighting
from pipeline.settings import Settings
from tasks import retention, stores
from tests.databases import migrate

BLOCK = b"one\ntwo\n"
PATH = "/var/log/\x1b[2Jx.log"


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    for made in (stores.settings, stores.engine):
        made.cache_clear()


@pytest.fixture
def _stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines that were stored 40 days ago, and a rule of 30 for the lake."""
    monkeypatch.setenv("SLUICE_RETENTION", "lake=30")
    migrate(Settings.from_environment().sqlalchemy_url)
    engine = stores.engine()
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(Batch(Source("ab" * 16, "web-1", PATH), 0, BLOCK))
    count(engine)
    at = datetime.now(UTC) - timedelta(days=40)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET stored_at = :at"), {"at": f"{at:%Y-%m-%d %H:%M:%S}"})


def answer(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, Any]:
    """Return the JSON object of a command that ends with this code."""
    assert main([*arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


GONE = {"source_id": 1, "path": PATH, "stage": "lake", "segments": 1, "lines": 2, "bytes": 8}


@pytest.mark.usefixtures("_stored")
def test_what_would_go_is_shown_and_then_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows the same as the command does afterwards, which leaves the audit complete."""
    planned = answer(capsys, OK, "retention", "--dry-run")
    done = answer(capsys, OK, "retention")
    again = answer(capsys, OK, "retention")

    assert (planned["dry_run"], planned["gone"], planned["lines"]) == (True, [GONE], 2)
    assert done == planned | {"dry_run": False}
    assert again["gone"] == []
    assert answer(capsys, OK, "audit", "--deep")["removed"]["lake"] == {"retention": {"bytes": 8, "lines": 2}}


@pytest.mark.usefixtures("_stored")
def test_what_stays_is_said_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A range whose audit does not pass is named, without power over the terminal, and the code is 1."""
    with transaction(stores.engine()) as connection:
        connection.execute(text("DELETE FROM rejected_lines WHERE line_start = 0"))

    assert main(["retention"]) == FAILED

    said = capsys.readouterr().out
    assert (
        "source 1, lake: bytes [0, 8) stay: the rows of the clean stage are not those of the ledger" in said
    )
    assert "\x1b" not in said


@pytest.mark.usefixtures("_stored")
def test_closed_findings_and_drifts_go_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted beside the lines, for people, for programs and in the log."""
    monkeypatch.setenv("SLUICE_RETENTION", "findings=30")
    stores.settings.cache_clear()
    caplog.set_level("INFO", "tasks")
    at = datetime.now(UTC) - timedelta(days=31)
    with transaction(stores.engine()) as connection:
        note(connection, 1, [Sighting("security", "xss", "low", "192.0.2.1", at, at, 1, "a script")], at)
        close_stale(connection, datetime.now(UTC))
        now = datetime.now(UTC)
        note(connection, 1, [Sighting("security", "xss", "low", "192.0.2.1", now, now, 1, "a script")], now)

    planned = answer(capsys, OK, "retention", "--dry-run")
    assert (planned["findings"], planned["drifts"], planned["lines"]) == (1, 0, 0)
    assert main(["retention", "--dry-run"]) == OK
    assert "would remove: 0 lines, 1 closed findings, 0 drifts" in capsys.readouterr().out
    assert retention.remove_expired() == "removed: 0 lines, 0 partitions, 1 findings, 0 drifts"
    assert "retention removed 1 closed findings and 0 drifts" in caplog.text


def test_without_a_rule_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The variable to set is named."""
    assert main(["retention"]) == USAGE
    assert "SLUICE_RETENTION: not set" in capsys.readouterr().err


@pytest.mark.usefixtures("_stored")
def test_the_task_says_what_it_removed(caplog: pytest.LogCaptureFixture) -> None:
    """Beat's task removes the same and logs no path and no line; a second one finds nothing."""
    caplog.set_level("INFO", "tasks")

    assert retention.remove_expired() == "removed: 2 lines, 0 partitions, 0 findings, 0 drifts"
    assert retention.remove_expired() == "removed: 0 lines, 0 partitions, 0 findings, 0 drifts"
    assert [record.getMessage() for record in caplog.records] == [
        "retention removed 2 lines, 8 bytes of source 1 from the lake stage"
    ]


def test_the_task_waits_for_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a schema retention is left to the next time."""
    monkeypatch.setenv("SLUICE_RETENTION", "lake=30")

    assert retention.remove_expired().startswith("not now: ")
