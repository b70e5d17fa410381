"""Servers of our own: started on free loopback ports in a folder of their own, and ended exactly.

For the benchmarks and for the tests; one kind of server is one module beside this one.
"""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from pipeline.errors import PipelineError

#: Seconds that a condition may take: far longer than a slow machine needs, and nothing where all goes well.
WAIT_SECONDS = 90.0
#: The end of what there was instead, for a message: a screen of 120 columns and 30 lines.
SEEN_CHARACTERS = 4000
#: Seconds between two looks at a condition.
POLL_SECONDS = 0.05


class ServiceMissing(Exception):  # noqa: N818 - a reason to skip, not always an error
    """A service is neither here nor can it be started."""


def wait_until(
    condition: Callable[[], Any],
    what: str,
    seconds: float = WAIT_SECONDS,
    *,
    logs: Path | None = None,
    seen: Callable[[], object] | None = None,
) -> Any:
    """Return the first true value of the condition.

    Raises:
        PipelineError: it did not come true in time; names what was waited for, what was `seen` instead, and
            where the logs are.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            instead = f"; instead: {str(seen())[-SEEN_CHARACTERS:]}" if seen else ""
            raise PipelineError(
                f"waited {seconds:g} s in vain for {what}{instead}" + (f" (logs: {logs})" if logs else "")
            )
        time.sleep(POLL_SECONDS)
    return value


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, folders: str) -> str:
    """Return the path of a server's program, the folder of its package before PATH.

    Raises:
        ServiceMissing: it is not installed.
    """
    # Debian's /usr/sbin/rabbitmq-server changes the user and the folder: the package's own script does not.
    newest_first = sorted(glob.glob(folders), reverse=True)  # noqa: PTH207 - an absolute pattern
    path = shutil.which(name, path=os.pathsep.join(newest_first)) or shutil.which(name)
    if path is None:
        raise ServiceMissing(f"{name} is not installed")
    return path


def stop_child(child: subprocess.Popen[bytes] | None, number: int, seconds: float = 30.0) -> None:
    """Signal a child and wait for its end; one that outlives the wait is killed with its descendants."""
    if child is None or child.poll() is not None:
        return
    descendants = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(number)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _, alive = psutil.wait_procs(descendants, timeout=0 if number == signal.SIGKILL else 5)
    for orphan in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(alive, timeout=5)


class PrivateNode:
    """A server in a folder of its own, on ports of its own; a context that starts it and removes it."""

    def __init__(self, folder: Path | None) -> None:
        self._owns_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="sluice-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.child: subprocess.Popen[bytes] | None = None

    def spawn(self, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program of this node in the background, its output in the folder's log."""
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we then stop it in order.
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment},
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_for_answer(self) -> None:
        """Return when a client can log in.

        Raises:
            ServiceMissing: the server ended at its start.
            PipelineError: it neither answered nor ended; with what it said last.
        """

        def answered_or_ended() -> bool:
            assert self.child is not None
            return self.answers() or self.child.poll() is not None

        name = type(self).__name__
        try:
            wait_until(answered_or_ended, f"{name} to answer")
        except PipelineError as error:
            raise PipelineError(f"{error}: {self._last_output()}") from error
        if not self.answers():
            raise ServiceMissing(f"{name} ended at its start: {self._last_output()}")

    def _last_output(self) -> str:
        # The folder goes with the node: what a person needs of it must be in the message.
        return (self.folder / "output.log").read_text(errors="replace")[-800:]

    def answers(self) -> bool:
        """Tell whether a client can log in."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and return when it answers."""
        raise NotImplementedError

    def kill(self) -> None:
        """End the server at once, as a power cut would, its files left as they are."""
        stop_child(self.child, signal.SIGKILL)

    def close(self) -> None:
        """End the server and remove its folder if it was made here."""
        self.kill()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the server."""
        self.close()
