"""`run` with real processes in embedded mode: it follows, survives, and drains when it is stopped."""

import signal
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.generate import generate_lines
from tests.acceptance.installation import Installation, all_gone, answer, children_of, proven
from tests.services import wait_until

#: Lines appended one by one; the median of their times to both tables is the figure.
APPENDED_COUNT = 15
#: Longest median time from an append to its commit in both tables, in seconds.
LATENCY_SECONDS = 1.0


def rows(installation: Installation) -> tuple[int, int]:
    """Return the lines in the lake, and those that are clean or rejected."""
    database = sqlite3.connect(f"file:{installation.folder / 'var' / 'sluice.db'}?mode=ro", uri=True)
    try:
        query = (
            "SELECT (SELECT count(*) FROM raw_logs), "
            "(SELECT count(*) FROM clean_records) + (SELECT count(*) FROM rejected_lines)"
        )
        lake, clean = database.execute(query).fetchone()
    finally:
        database.close()
    return lake, clean


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Return an installation on which nothing has run."""
    return Installation(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of ten lines."""
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(generate_lines(10, seed=1)))
    return path


@pytest.fixture
def running(installation: Installation, log: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a run that has stored the ten lines and follows the log."""
    command = installation.start("run", log, "--json")
    try:
        wait_until((installation.folder / "var" / "sluice.db").exists, "the database", 30)
        wait_until(lambda: "ready" in installation.log("clean"), "the clean pool", 60)
        wait_until(lambda: rows(installation) == (10, 10), "the first lines", 60)
        yield command
    finally:
        command.kill()
        command.communicate()


def test_an_appended_line_is_in_both_tables_at_once(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """A line is committed by both stages within a second of its append, in the median."""
    times = []
    with log.open("ab", buffering=0) as file:
        for count, line in enumerate(generate_lines(APPENDED_COUNT, seed=2), start=11):
            started_at = time.monotonic()
            file.write(line)
            wait_until(lambda count=count: rows(installation) == (count, count), "the line", 20)
            times.append(time.monotonic() - started_at)

    print(f"append to commit in both tables: median {statistics.median(times) * 1000:.0f} ms")
    assert statistics.median(times) < LATENCY_SECONDS


def test_ctrl_c_stores_what_is_queued_and_prints_the_summary(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """After SIGINT all that was confirmed is stored, every child has ended, and the code is 0."""
    children = children_of(running)
    with log.open("ab") as file:
        file.writelines(generate_lines(20_000, seed=3))
    wait_until(lambda: rows(installation)[0] > 10, "the first of the new lines", 30)
    running.send_signal(signal.SIGINT)

    summary = answer(running)

    assert all_gone(children)
    assert proven(summary, summary["lines"])
    assert 10 < summary["lines"] <= 20_010


def test_a_second_ctrl_c_ends_at_once(running: subprocess.Popen[str]) -> None:
    """A second signal kills every child and ends with the code of an interruption."""
    children = children_of(running)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    wait_until(lambda: "stopping" in running.stderr.readline(), "the first to be noticed", 10)
    running.send_signal(signal.SIGINT)

    running.communicate(timeout=20)

    assert running.returncode == 130
    assert all_gone(children)


def test_a_killed_watcher_is_started_again(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """`kill -9` of the watcher loses no line and doubles none."""
    watcher = next(p for p in children_of(running) if "watch" in p.cmdline())
    watcher.kill()
    with log.open("ab") as file:
        file.writelines(generate_lines(500, seed=4))

    wait_until(lambda: rows(installation) == (510, 510), "the lines that came meanwhile", 30)
    running.send_signal(signal.SIGINT)

    assert proven(answer(running), 510)


def test_a_second_run_on_the_same_state_folder_is_refused(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """Two watchers never share a checkpoint: the second run ends with code 2 and names the setting."""
    assert "SLUICE_STATE_DIR" in installation.answer("run", log, code=2)["error"]
    assert running.poll() is None
