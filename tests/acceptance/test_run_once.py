"""`run --once` with real processes: a file through both queues into both tables; what its proofs say."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import FAILED, OK, main
from pipeline.generate import write_file
from tests.acceptance.installation import Installation, all_gone, children_of, proven
from tests.services import wait_until

#: The keys of the summary, in the order of the contract.
SUMMARY_KEYS = [
    "lines",
    "raw",
    "clean",
    "rejected",
    "seconds",
    "lines_per_second",
    "missing_bytes",
    "duplicate_lines",
]
LINE_COUNT = 3000


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Return an installation on which nothing has run."""
    return Installation(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Path, dict[str, Any]]:
    """Return an installation with one file stored, the file, and the summary."""
    installation = Installation(tmp_path_factory.mktemp("finished"))
    path = installation.folder / "access.log"
    write_file(path, LINE_COUNT, seed=7, broken=0.05)
    return installation, path, installation.answer("run", "--once", path)


@pytest.fixture
def tell(
    finished: tuple[Installation, Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., dict[str, Any]]:
    """Return what calls a command on that installation in this process, and returns its JSON object."""
    monkeypatch.setenv("SLUICE_STATE_DIR", finished[0].environment["SLUICE_STATE_DIR"])

    def call(*arguments: object, code: int = OK) -> dict[str, Any]:
        assert main([*map(str, arguments), "--json"]) == code
        told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return told

    return call


def test_every_line_is_in_both_stages(finished: tuple[Installation, Path, dict[str, Any]]) -> None:
    """The summary counts each line of the file in the lake, and as clean or rejected, once."""
    _, path, summary = finished

    assert list(summary) == SUMMARY_KEYS
    assert proven(summary, path.read_bytes().count(b"\n"))
    assert 0 < summary["rejected"] < LINE_COUNT / 5
    assert summary["lines_per_second"] > 0


def test_the_file_is_rebuilt_byte_for_byte(
    finished: tuple[Installation, Path, dict[str, Any]], tell: Callable[..., dict[str, Any]]
) -> None:
    """`rebuild` gives the file from the lake, by path and by id, to a file and to stdout."""
    installation, path, _ = finished
    target = installation.folder / "rebuilt.log"

    assert tell("rebuild", path, "--output", target)["bytes"] == path.stat().st_size
    assert target.read_bytes() == path.read_bytes()

    command = [sys.executable, "-m", "pipeline", "rebuild", "1", "--output", "-"]
    assert subprocess.check_output(command, env=installation.environment) == path.read_bytes()


@pytest.mark.slow
def test_a_second_run_stores_nothing_new(finished: tuple[Installation, Path, dict[str, Any]]) -> None:
    """The same file again gives the same totals, with no line added."""
    installation, path, summary = finished

    again = installation.answer("run", "--once", path)

    changing = {"seconds", "lines_per_second"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in summary.items() if k not in changing
    }
    assert again["lines_per_second"] == 0


def test_status_shows_source_and_queues(
    finished: tuple[Installation, Path, dict[str, Any]], tell: Callable[..., dict[str, Any]]
) -> None:
    """The source stands at its end without lag; the queues are empty."""
    _, path, _ = finished

    status = tell("status")

    (source,) = status["sources"]
    size = path.stat().st_size
    assert {"id", "path", "size", "offset", "lag_bytes", "lost_bytes", "state"} <= source.keys()
    assert (source["path"], source["size"], source["offset"]) == (str(path), size, size)
    assert (source["lag_bytes"], source["lost_bytes"]) == (0, 0)
    assert {"queue-data-lake", "queue-data-clean"} <= status["queues"].keys()
    assert all(depth == {"messages": 0, "dead": 0} for depth in status["queues"].values())


def test_the_audit_proves_it(tell: Callable[..., dict[str, Any]]) -> None:
    """The deep audit finds nothing missing, nothing twice, and the file identical."""
    report = tell("audit", "--deep")

    assert (report["missing_bytes"], report["duplicate_lines"], report["conflicts"]) == (0, 0, 0)
    assert [source["file"] for source in report["sources"]] == ["identical"]


def test_a_deleted_row_is_noticed(
    finished: tuple[Installation, Path, dict[str, Any]],
    tell: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An audit of a database that lost a row ends with code 1 and says how many are gone."""
    installation, _, _ = finished
    copy = tmp_path / "damaged.db"
    original = installation.folder / "var" / "sluice.db"
    with closing(sqlite3.connect(original)) as whole, closing(sqlite3.connect(copy)) as damaged:
        whole.backup(damaged)
        damaged.execute("DELETE FROM raw_logs WHERE line_start = 0")
        damaged.commit()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{copy}")

    assert tell("audit", code=FAILED)["missing_lines"] == 1


def test_a_path_that_is_not_there_is_named(installation: Installation) -> None:
    """A file that does not exist ends the run at once, with code 2 and its name."""
    answered = installation.answer("run", "--once", "absent.log", code=2)

    assert "absent.log" in answered["error"]


@pytest.mark.slow
def test_a_killed_pool_is_started_again_and_the_run_completes(installation: Installation) -> None:
    """`kill -9` of the lake pool while it works costs no line."""
    path = installation.folder / "access.log"
    write_file(path, 30_000, seed=3)
    command = installation.start("run", "--once", path, "--json")
    wait_until(lambda: "succeeded" in installation.log("lake"), "the first batch in the lake")
    pool = next(p for p in children_of(command) if "queue-data-lake" in p.cmdline())
    pool.send_signal(signal.SIGKILL)

    out, err = command.communicate(timeout=100)

    assert "lake: ended by SIGKILL; starting it again" in err
    assert command.returncode == 0, err
    assert proven(json.loads(out.splitlines()[-1]), 30_000)


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_the_next_one_completes_it(installation: Installation) -> None:
    """After `kill -9` of the supervisor its children end; a new run stores what was left, once."""
    path = installation.folder / "access.log"
    write_file(path, 30_000, seed=4)
    command = installation.start("run", "--once", path)
    wait_until(lambda: "succeeded" in installation.log("clean"), "the first clean batch")
    children = children_of(command)
    command.kill()
    command.communicate()

    wait_until(lambda: all_gone(children), "the end of every child")

    assert proven(installation.answer("run", "--once", path), 30_000)


@pytest.mark.slow
def test_servers_give_the_same(broker: str, postgresql_url: str, tmp_path: Path) -> None:
    """On RabbitMQ and PostgreSQL: every line once, nothing new in a second run, the file rebuilt."""
    installation = Installation(tmp_path, {"BROKER_URL": broker, "DATABASE_URL": postgresql_url})
    path, target = tmp_path / "access.log", tmp_path / "rebuilt.log"
    write_file(path, LINE_COUNT, seed=7, broken=0.05)

    first = installation.answer("run", "--once", path)
    again = installation.answer("run", "--once", path)
    installation.answer("rebuild", path, "--output", target)

    assert proven(first, path.read_bytes().count(b"\n"))
    assert (again["raw"], again["clean"], again["rejected"]) == (
        first["raw"],
        first["clean"],
        first["rejected"],
    )
    assert target.read_bytes() == path.read_bytes()
