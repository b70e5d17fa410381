"""The command `dead`, on dead letters of the embedded broker."""

import json
from pathlib import Path
from typing import Any

import kombu
import pytest

from pipeline import topology
from pipeline.batch import Batch, Source
from pipeline.cli.main import main
from pipeline.dead import FAILURE_HEADER
from pipeline.publish import connect
from pipeline.settings import Settings
from pipeline.topology import Stage

QUEUE = Stage.LAKE.queue_name


@pytest.fixture
def two_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the environment, and two dead letters of one cause there."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path))
    settings = Settings.from_environment()
    with connect(settings) as connection, connection.channel() as channel:
        topology.declare(connection)
        for number in range(2):
            batch = Batch(Source("ab" * 16, "web-1", "/logs/\x1b[31m.log"), number * 5, b"line\n")
            failure = {"reason": f"ValueError at byte {number}", "traceback": "Traceback\n  \x1b]8;;x"}
            kombu.Producer(channel).publish(
                ((batch.encode(),), {}, {}),
                exchange="",
                routing_key=topology.dead_name(QUEUE),
                serializer="msgpack",
                headers={"id": f"id-{number}", FAILURE_HEADER: failure},
            )
    return settings


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run `dead …` with JSON, and return what it prints."""
    assert main(["dead", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


@pytest.mark.usefixtures("two_dead")
def test_list_groups_by_signature(capsys: pytest.CaptureFixture[str]) -> None:
    """Two dead letters of one cause are one row."""
    expected = [{"queue": QUEUE, "count": 2, "signature": "ValueError at byte …"}]

    assert answer(capsys, "list") == {"dead": expected}


@pytest.mark.usefixtures("two_dead")
def test_show_says_which_bytes_a_dead_letter_carries(capsys: pytest.CaptureFixture[str]) -> None:
    """A dead letter names its source and range."""
    (letter,) = answer(capsys, "show", "--id", "id-1")["dead"]

    assert (letter["start"], letter["end"], letter["lines"]) == (5, 10, 1)
    assert letter["reason"] == "ValueError at byte 1"


@pytest.mark.usefixtures("two_dead")
def test_show_prints_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and text of errors come out escaped."""
    assert main(["dead", "show"]) == 0
    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert "\\x1b" in shown


@pytest.mark.usefixtures("two_dead")
def test_replay_takes_the_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """One of two is published again."""
    assert answer(capsys, "replay", "--id", "id-0")["replayed"][QUEUE] == 1
    assert [letter["id"] for letter in answer(capsys, "show")["dead"]] == ["id-1"]


@pytest.mark.usefixtures("two_dead")
def test_purge_asks_for_yes(capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--yes` nothing is removed."""
    assert main(["dead", "purge"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert answer(capsys, "purge", "--yes", "--signature", "ValueError")["purged"][QUEUE] == 2
    assert answer(capsys, "list") == {"dead": []}


@pytest.mark.usefixtures("two_dead")
def test_unknown_queue_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt queue is an error that lists the right ones."""
    assert main(["dead", "list", "--queue", "queue-lake"]) == 2
    assert QUEUE in capsys.readouterr().err
