"""The watcher where the system refuses it something: permission, watches, room for events, a real path."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.watch import Finder, Sighting
from tests.integration.shipper import Shipper, lines
from tests.services import wait_until
from tests.soak.shipper import batches

ROOT = Path(__file__).parents[2]
#: A user who may not read what root may.
NOBODY = 65534
#: How many events the system keeps that nobody took.
QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")

pytestmark = pytest.mark.skipif(not QUEUE_LIMIT.exists(), reason="the limits of inotify are Linux's")


@pytest.fixture
def plain_shipper() -> Iterator[Shipper]:
    """A watcher of a user without privileges, over a folder of that user's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, -1) if os.geteuid() == 0 else None
        with unprivileged():
            made = Shipper(Path(folder))
            yield made
            made.kill()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody inside; who is not root stays who they are."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("evicted", [False, True])
def test_a_lost_permission_is_waited_for(
    plain_shipper: Shipper, caplog: pytest.LogCaptureFixture, *, evicted: bool
) -> None:
    """A file that may not be read any more is said so and read on when it may, even if it did not change."""
    shipper = plain_shipper
    path = shipper.append("a.log", lines(0, 10))
    shipper.work()
    if evicted:
        shipper.sources.close()
    with path.open("ab") as file:
        path.chmod(0)
        file.write(lines(10, 20))
    if not evicted:
        shipper.kill()
        shipper.start()
    shipper.work(20)
    assert shipper.publisher.text() == lines(0, 10)
    assert "permission" in caplog.text
    assert len(caplog.records) == 1
    path.chmod(0o600)
    shipper.work()
    assert list(shipper.publisher.sources().values()) == [lines(0, 20)]
    assert shipper.lost_bytes() == 0


def test_a_new_file_without_permission_is_read_later(plain_shipper: Shipper) -> None:
    """A file that may not be read from the start is read from its start when it may."""
    path = plain_shipper.append("a.log", lines(0, 10))
    path.chmod(0)
    plain_shipper.work(20)
    assert plain_shipper.publisher.batches == []
    path.chmod(0o600)
    plain_shipper.work()
    assert plain_shipper.publisher.text() == lines(0, 10)


@pytest.mark.parametrize("file_is", ["open", "closed", "of a stopped watcher"])
def test_a_closed_folder_is_waited_for(plain_shipper: Shipper, file_is: str) -> None:
    """A folder that may not be entered for a while costs no line, whether its file was held open or not."""
    shipper = plain_shipper
    path = shipper.append("a.log", lines(0, 10))
    shipper.work()
    if file_is == "closed":
        shipper.sources.close()
    with path.open("ab") as file:
        shipper.logs.chmod(0)
        file.write(lines(10, 20))
        file.flush()
        if file_is == "of a stopped watcher":
            shipper.restart(lambda: None)
        shipper.work(20)
    shipper.logs.chmod(0o700)
    shipper.append("a.log", lines(20, 30))
    shipper.work(10)
    assert list(shipper.publisher.sources().values()) == [lines(0, 30)]
    assert shipper.lost_bytes() == 0


def test_a_folder_below_a_closed_one_is_found_later(plain_shipper: Shipper) -> None:
    """Folders and globs below a folder that may not be entered are found when it may, without a restart."""
    shipper = plain_shipper
    (shipper.logs / "in").mkdir()
    shipper.append("in/a.log", b"a\n")
    shipper.logs.chmod(0)
    finders = [Finder([str(shipper.logs / name)]) for name in ("in", "in/*.log", "in/a.log", "**/*.log")]
    assert [finder.sweep() for finder in finders] == [[]] * 4
    shipper.logs.chmod(0o700)
    assert [len(finder.sweep()) for finder in finders] == [1] * 4


@dataclass
class Child:
    """A watcher in its own process."""

    process: subprocess.Popen[bytes]
    logs: Path
    spool: Path
    errors: Path

    def text(self) -> bytes:
        """Return what it published, source by source."""
        found: dict[str, bytes] = {}
        for batch in batches(self.spool):
            found[batch.source.key] = found.get(batch.source.key, b"") + batch.block
        return b"".join(found.values())

    def seen(self) -> str:
        """Tell how much it published and what it said."""
        return f"{len(self.text())} bytes, code {self.process.poll()}, {self.errors.read_text()}"

    def published(self, block: bytes) -> bool:
        """Tell whether it published just these bytes."""
        return self.text() == block

    @property
    def watching(self) -> bool:
        """True when the system keeps events for it."""
        descriptors = Path(f"/proc/{self.process.pid}/fdinfo").iterdir()
        return any(path.exists() and "inotify wd" in path.read_text() for path in descriptors)

    def append(self, name: str, block: bytes) -> None:
        """Write at the end of a log."""
        with (self.logs / name).open("ab") as file:
            file.write(block)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start a watcher in its own process, behind the words of another command if there are some."""
    made: list[Child] = []

    def starter(*before: str) -> Child:
        logs, spool, errors = (tmp_path / name for name in ("logs", "spool", "errors"))
        logs.mkdir()
        spool.mkdir()
        arguments = (str(tmp_path / "state"), str(logs), str(spool))
        command = (*before, sys.executable, "-m", "tests.soak.shipper", *arguments)
        with errors.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, stderr=file)
        made.append(Child(process, logs, spool, errors))
        return made[-1]

    yield starter
    for child in made:
        child.process.terminate()
        child.process.wait(60)


@pytest.mark.parametrize(
    ("limit", "number"), [("max_inotify_watches", errno.ENOSPC), ("max_inotify_instances", errno.EMFILE)]
)
def test_without_watches_the_sweep_goes_on(start: Callable[..., Child], limit: str, number: int) -> None:
    """A system that gives no watch, or no queue for events, is named once; every line comes all the same."""
    namespace = ("unshare", "--user", "--map-root-user", "sh", "-c")
    refuse = f"echo 0 > /proc/sys/user/{limit}"
    if subprocess.run([*namespace, refuse], check=False, capture_output=True).returncode:
        pytest.skip("the system gives no user namespaces, in which a limit can be set without disturbing it")
    child = start(*namespace, f'{refuse}; exec "$@"', "sh")
    for turn in range(3):
        child.append("a.log", lines(turn, turn + 1))
        wait_until(partial(child.published, lines(0, turn + 1)), f"line {turn}", seen=child.seen)
    (child.logs / "a.log").rename(child.logs / "a.log.1")
    child.append("a.log", lines(3, 4))
    wait_until(partial(child.published, lines(0, 4)), "the line after the rename", seen=child.seen)
    said = child.errors.read_text()
    assert said.count("found by the sweep alone") == 1
    assert f"[Errno {number}]" in said


def test_lost_events_are_made_good_by_the_sweep(start: Callable[..., Child]) -> None:
    """More events than the system keeps come at once: the file behind them is found by the sweep."""
    turns = int(QUEUE_LIMIT.read_text())  # two events each: twice as many as there is room for
    child = start()
    child.append("a.log", b"0\n")
    wait_until(lambda: child.published(b"0\n") and child.watching, "the watch", seen=child.seen)
    child.process.send_signal(signal.SIGSTOP)
    # A stop takes its time: what is read before it makes room.
    wait_until(lambda: psutil.Process(child.process.pid).status() == psutil.STATUS_STOPPED, "the stop")
    a, b = ((child.logs / name).open("ab", buffering=0) for name in ("a.log", "b.log"))
    for _ in range(turns):
        a.write(b"a\n")
        b.write(b"b\n")
    a.close()
    b.close()
    child.append("c.log", b"last\n")
    child.process.send_signal(signal.SIGCONT)
    whole = 2 + 4 * turns + 5
    wait_until(lambda: len(child.text()) == whole, f"all {whole} bytes", seen=child.seen)
    assert b"last\n" in child.text()
    wait_until(lambda: "overflowed" in child.errors.read_text(), "the word of it", seen=child.seen)


def test_a_link_put_in_place_of_a_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that becomes a link between the look and the opening is refused; the real one is read later."""
    shipper = Shipper(tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret\n")
    path, away = shipper.append("a.log", lines(0, 10)), tmp_path / "away"
    look = Finder.sweep

    def look_and_swap(finder: Finder) -> list[Sighting]:
        found = look(finder)
        monkeypatch.undo()
        path.rename(away)
        path.symlink_to(secret)
        return found

    monkeypatch.setattr(Finder, "sweep", look_and_swap)
    shipper.work(5)
    assert shipper.publisher.batches == []
    assert "symbolic link" in caplog.text
    path.unlink()
    away.rename(path)
    shipper.work(5)
    assert shipper.publisher.text() == lines(0, 10)
    shipper.kill()
