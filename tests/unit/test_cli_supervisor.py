"""Children: started, restarted, stopped, never orphaned."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.cli.guardian import end_groups
from pipeline.cli.supervisor import (
    CONFIGURATION_EXIT,
    LONGEST_DELAY_SECONDS,
    Recipe,
    Supervisor,
    delay_seconds,
)
from tests.services import wait_until

#: Runs until it is stopped.
LASTING = "import signal; print('ready', flush=True); signal.pause()"
#: Does not stop when asked.
STUBBORN = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile True: signal.pause()"
)


def recipe(code: str, name: str = "child", *, lasting: bool = True) -> Recipe:
    """Return the recipe of a small Python program."""
    return Recipe(name, (sys.executable, "-c", code), lasting=lasting)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Return a supervisor whose log files are in the test's folder."""
    with Supervisor(tmp_path / "log") as supervisor:
        yield supervisor


def test_delays_double_up_to_a_limit() -> None:
    """Each wait is twice the last until the limit, half of it drawn by chance."""
    assert [delay_seconds(n, lambda: 1.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert delay_seconds(1000, lambda: 1.0) == LONGEST_DELAY_SECONDS
    assert delay_seconds(1, lambda: 0.0) == 0.25


def test_a_killed_child_is_started_again(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    """A child that dies comes back under a new process, and the supervisor says so."""
    child = supervisor.start(recipe(LASTING))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    wait_until(lambda: supervisor.tick() or child.restarts == 1, "the restart")

    assert child.pid not in (None, first)
    assert "ended by SIGKILL; starting it again" in capsys.readouterr().err


def test_what_a_killed_child_leaves_is_ended(supervisor: Supervisor) -> None:
    """The children of a killed child are gone before its restart."""
    spawn = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    child = supervisor.start(recipe(spawn))
    wait_until(lambda: len(child.log.last) == 2, "both to be ready")
    grandchild = psutil.Process(int(next(line for line in child.log.last if line.isdecimal())))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)

    wait_until(lambda: supervisor.tick() or child.failures == 1, "the end to be noticed")

    wait_until(lambda: not _runs(grandchild), "the grandchild's end")


def test_a_child_that_may_end_is_not_started_again(supervisor: Supervisor) -> None:
    """A child that ends by itself with code 0, and may, has ended well."""
    child = supervisor.start(recipe("pass", lasting=False))

    wait_until(lambda: supervisor.tick() or child.ended is not None, "its end")

    assert child.ended == 0
    assert child.well


def test_a_wrong_configuration_is_not_tried_again(supervisor: Supervisor) -> None:
    """A child that ends with the code of a wrong configuration stays down, its last words kept."""
    child = supervisor.start(recipe(f"print('error: FOO: bar'); raise SystemExit({CONFIGURATION_EXIT})"))

    wait_until(lambda: supervisor.tick() or child.ended is not None, "its end")

    assert child.ended == CONFIGURATION_EXIT
    assert not child.well
    assert list(child.log.last) == ["error: FOO: bar"]


def test_warnings_of_a_child_reach_stderr_and_all_its_lines_the_log_file(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees warnings with the child's name; the file holds every line; nothing obeys an escape."""
    code = "print('[x: INFO/Main] quiet'); print('[x: WARNING/Main] low \\x1b[2J')"
    child = supervisor.start(recipe(code, lasting=False))
    wait_until(lambda: supervisor.tick() or child.ended is not None, "its end")

    assert "child | [x: WARNING/Main] low \\x1b[2J\n" in capsys.readouterr().err
    assert child.log.path.read_text() == "[x: INFO/Main] quiet\n[x: WARNING/Main] low \x1b[2J\n"


def test_stop_kills_what_does_not_stop(supervisor: Supervisor, capsys: pytest.CaptureFixture[str]) -> None:
    """A child that ignores SIGTERM is killed after the grace."""
    child = supervisor.start(recipe(STUBBORN))
    wait_until(lambda: len(child.log.last) == 1, "it to be ready")

    supervisor.stop(["child"], grace_seconds=0.1)

    assert child.ended == -signal.SIGKILL
    assert "did not stop in time, killed" in capsys.readouterr().err


def test_leaving_the_supervisor_leaves_no_child(tmp_path: Path) -> None:
    """Every child has ended when the supervisor's block ends."""
    with Supervisor(tmp_path) as supervisor:
        children = [supervisor.start(recipe(LASTING, name)) for name in ("one", "two")]
        running = [psutil.Process(child.pid) for child in children]

    assert not any(map(_runs, running))


def test_children_of_a_killed_supervisor_end(tmp_path: Path) -> None:
    """After `kill -9` of the supervisor its children end by themselves."""
    code = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.cli.supervisor import Recipe, Supervisor\n"
        f"with Supervisor(Path({str(tmp_path)!r})) as s:\n"
        f"    print(s.start(Recipe('child', (sys.executable, '-c', {LASTING!r}))).pid, flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    wait_until(lambda: not _runs(child), "the child's end")


def test_ending_a_group_that_is_gone_is_no_error() -> None:
    """A group without a member needs nothing."""
    with subprocess.Popen([sys.executable, "-c", "pass"], process_group=0) as child:
        child.wait()

        end_groups({child.pid}, grace_seconds=0.0)


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
