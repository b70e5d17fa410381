"""`run` with real processes in embedded mode: it follows, survives, and drains when it is stopped."""

import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.engine import make_engine, reading
from db.models import CleanRecord, RawLog, RejectedLine
from pipeline.checkpoint import read_offsets
from pipeline.depths import queue_depths
from pipeline.errors import ConfigurationError
from pipeline.generate import generate_lines
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.acceptance.installation import Installation, all_gone, answer, children_of, proven
from tests.services import wait_until

#: Lines appended one by one; the median of their times to both tables is the figure.
APPENDED_COUNT = 15
#: Longest median time from an append to its commit in both tables, in seconds.
LATENCY_SECONDS = 1.0


def rows(installation: Installation) -> tuple[int, int]:
    """Return the lines in the lake, and those that are clean or rejected; none while there is no table."""
    engine = make_engine(installation.database_url)
    try:
        with reading(engine) as connection:
            lake, clean, rejected = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (RawLog, CleanRecord, RejectedLine)
            )
    except ConfigurationError:
        return 0, 0
    finally:
        engine.dispose()
    return lake, clean + rejected


@pytest.fixture
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """Return an installation on which nothing has run: embedded, or on RabbitMQ and PostgreSQL."""
    if getattr(request, "param", "embedded") == "embedded":
        return Installation(tmp_path)
    broker, database = request.getfixturevalue("broker"), request.getfixturevalue("postgresql_url")
    return Installation(tmp_path, {"BROKER_URL": broker, "DATABASE_URL": database})


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
        wait_until(lambda: rows(installation) == (10, 10), "the first lines", seen=lambda: rows(installation))
        yield command
    finally:
        children = children_of(command) if command.poll() is None else []
        command.kill()
        command.communicate()
        wait_until(lambda: all_gone(children), "the end of every child")


def test_an_appended_line_is_in_both_tables(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """What is appended while it runs is stored by both stages, without another command."""
    with log.open("ab", buffering=0) as file:
        for count, line in enumerate(generate_lines(3, seed=2), start=11):
            file.write(line)
            wait_until(lambda count=count: rows(installation) == (count, count), "the line")

    assert running.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("installation", ["embedded", "servers"], indirect=True)
def test_an_appended_line_is_in_both_tables_at_once(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """A line is committed by both stages within a second of its append, in the median."""
    times = []
    with log.open("ab", buffering=0) as file:
        for count, line in enumerate(generate_lines(APPENDED_COUNT, seed=2), start=11):
            started_at = time.monotonic()
            file.write(line)
            wait_until(lambda count=count: rows(installation) == (count, count), "the line")
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
    wait_until(lambda: rows(installation)[0] > 10, "the first of the new lines")
    running.send_signal(signal.SIGINT)

    summary = answer(running)

    assert all_gone(children)
    assert proven(summary, summary["lines"])
    assert 10 < summary["lines"] <= 20_010


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(running: subprocess.Popen[str]) -> None:
    """A second signal kills every child and ends with the code of an interruption."""
    children = children_of(running)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    wait_until(lambda: "stopping" in running.stderr.readline(), "the first to be noticed")
    running.send_signal(signal.SIGINT)

    running.communicate(timeout=90)

    assert running.returncode == 130
    assert all_gone(children)


@pytest.mark.slow
def test_a_killed_watcher_is_started_again(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """`kill -9` of the watcher loses no line and doubles none."""
    watcher = next(p for p in children_of(running) if "watch" in p.cmdline())
    watcher.kill()
    with log.open("ab") as file:
        file.writelines(generate_lines(500, seed=4))

    wait_until(lambda: rows(installation) == (510, 510), "the lines that came meanwhile")
    running.send_signal(signal.SIGINT)

    assert proven(answer(running), 510)


@pytest.mark.slow
def test_a_second_run_on_the_same_state_folder_is_refused(
    running: subprocess.Popen[str], installation: Installation, log: Path
) -> None:
    """Two watchers never share a checkpoint: the second run ends with code 2 and names the setting."""
    assert "SLUICE_STATE_DIR" in installation.answer("run", log, code=2)["error"]
    assert running.poll() is None


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_watcher_alone_ends_after_the_batch_in_hand(
    signal_number: int, installation: Installation, log: Path
) -> None:
    """`watch` publishes what is there, ends well at a signal, and keeps its offset."""
    command = installation.start("watch", log, "--json")
    wait_until(lambda: queued(installation) == (1, 1), "the batch in both queues")
    command.send_signal(signal_number)

    assert answer(command)["stopped"]
    assert read_offsets(installation.folder / "var") != {}
    assert set(read_offsets(installation.folder / "var").values()) == {log.stat().st_size}


def queued(installation: Installation) -> tuple[int, int]:
    """Return the messages in the two data queues."""
    depths = queue_depths(Settings.from_environment(state_dir=installation.folder / "var"))
    lake, clean = (depths[stage.queue_name].messages for stage in Stage)
    return lake, clean
