"""Child processes: started, restarted with backoff when they die, stopped in order, never orphaned."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.cli import guardian, output
from pipeline.cli.childlog import ChildLog

log = logging.getLogger(__name__)

#: First and longest wait before a restart, in seconds; it doubles in between.
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 30.0
#: A child that ran this long, in seconds, has recovered: its next restart waits the first delay again.
RECOVERED_SECONDS = 60.0
#: Exit code of a child whose configuration is wrong: a restart would not change that.
CONFIGURATION_EXIT = 2


@dataclass(frozen=True)
class Recipe:
    """How to start a child.

    Attributes:
        name: its name for people, and of its log file.
        command: program and arguments.
        lasting: True when it must run until it is stopped; False when it may end by itself with code 0.
        variables: what its environment has besides the supervisor's.
    """

    name: str
    command: tuple[str, ...]
    lasting: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)


def delay_seconds(failures: int, draw: Callable[[], float] = random.random) -> float:
    """Return the wait before restart number `failures` (from 1): doubling, capped, half of it by chance.

    The chance keeps children that died together, of one cause, from coming back together.
    """
    longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + 0.5 * draw())


@dataclass
class Child:
    """One child and its history; `ended` holds its exit code when it needs no restart."""

    recipe: Recipe
    log: ChildLog
    popen: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    ended: int | None = None
    restarts: int = field(default=0)

    @property
    def pid(self) -> int | None:
        """Id of the running process, which also names its process group; None when it does not run."""
        return self.popen.pid if self.popen else None

    @property
    def well(self) -> bool:
        """True when it runs, or ended as it may."""
        return self.popen is not None or self.ended == 0


class Supervisor:
    """Runs children until they are stopped; a context manager that leaves none behind.

    Each child leads its own process group, so that a terminal's Ctrl-C reaches the supervisor alone, and
    so that what a killed child leaves of its own children is ended before the restart.
    """

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.children: dict[str, Child] = {}
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", guardian.__file__],
            stdin=subprocess.PIPE,
            # Whoever reads the output of a killed supervisor sees its end at once.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._guardian and self._guardian.stdin:
            self._guardian.stdin.close()
            self._guardian.wait()

    def start(self, recipe: Recipe) -> Child:
        """Start a child."""
        child = Child(recipe, ChildLog(recipe.name, self.log_dir))
        self.children[recipe.name] = child
        self._spawn(child)
        return child

    def tick(self) -> None:
        """Notice who ended, and restart whose time has come; call it a few times a second."""
        for child in self.children.values():
            if child.popen is not None and child.popen.poll() is not None:
                self._note_end(child, child.popen.returncode)
            elif child.restart_at is not None and time.monotonic() >= child.restart_at:
                self._spawn(child)
                child.restarts += 1
                output.say(f"{child.recipe.name}: started again")

    def stop(self, names: Iterable[str], grace_seconds: float) -> None:
        """Ask children to stop (SIGTERM), wait for all of them, and kill those that outlast the grace."""
        chosen = [self.children[name] for name in names if name in self.children]
        for child in chosen:
            child.restart_at = None
            if child.popen is not None:
                child.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        for child in chosen:
            self._wait(child, deadline)

    def kill(self) -> None:
        """Kill every child with all of its own, at once."""
        for child in self.children.values():
            child.restart_at = None
            if child.popen is not None:
                guardian.kill_group(child.popen.pid)
                child.popen.wait()
                self._forget(child)
                child.ended = -signal.SIGKILL

    def _spawn(self, child: Child) -> None:
        child.restart_at, child.started_at = None, time.monotonic()
        child.popen = subprocess.Popen(
            child.recipe.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment() | dict(child.recipe.variables),
            process_group=0,
        )
        self._tell_guardian(f"+{child.popen.pid}\n")
        assert child.popen.stdout is not None
        child.log.follow(child.popen.stdout)

    def _wait(self, child: Child, deadline: float) -> None:
        if child.popen is None:
            return
        try:
            code = child.popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            output.say(f"{child.recipe.name}: did not stop in time, killed")
            guardian.kill_group(child.popen.pid)
            code = child.popen.wait()
        self._forget(child)
        # It was asked to stop before it could listen to that: it has ended as it may.
        child.ended = 0 if code == -signal.SIGTERM else code

    def _forget(self, child: Child) -> None:
        assert child.popen is not None
        pid, child.popen = child.popen.pid, None
        guardian.kill_group(pid)
        self._tell_guardian(f"-{pid}\n")
        child.log.finish()

    def _note_end(self, child: Child, code: int) -> None:
        self._forget(child)
        if code == CONFIGURATION_EXIT or (code == 0 and not child.recipe.lasting):
            child.ended = code
            return
        recovered = time.monotonic() - child.started_at >= RECOVERED_SECONDS
        child.failures = 1 if recovered else child.failures + 1
        wait = delay_seconds(child.failures)
        child.restart_at = time.monotonic() + wait
        output.say(
            f"{child.recipe.name}: {cause(code)}; starting it again in {wait:.1f} s (log: {child.log.path})"
        )

    def _tell_guardian(self, line: str) -> None:
        assert self._guardian is not None
        assert self._guardian.stdin is not None
        try:
            self._guardian.stdin.write(line.encode("ascii"))
            self._guardian.stdin.flush()
        except BrokenPipeError:
            log.warning("the guardian process has gone: a killed supervisor would leave its children running")


def child_environment() -> dict[str, str]:
    """Return this environment, made so that children find the project and write their lines at once."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def cause(code: int) -> str:
    """Return how a process ended, in words."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
