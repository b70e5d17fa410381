"""A writer, four kinds of rotation and a watcher that is killed: nothing lost, nothing doubled."""

import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.checkpoint import read_status
from tests.doubles import FakePublisher
from tests.soak.shipper import batches

#: Rotations after which a file is compressed: the watcher has seen it by then, kills or not.
DELAY_COUNT = 8
LINES_PER_SECOND = 1000


class Writer:
    """Writes numbered lines into a log and rotates it; knows every byte it wrote, by generation."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.path = folder / "app.log"
        self.folder = folder
        self.generations: list[bytearray] = [bytearray()]
        self.random = random.Random(seed)
        self.line_number = 0
        self.rotated: list[Path] = []
        self.compressed_count = 0

    def write(self, count: int) -> None:
        """Append lines, the last one in two writes."""
        block = b"".join(self._line() for _ in range(count))
        middle = len(block) - 20
        for piece in (block[:middle], block[middle:]):
            with self.path.open("ab") as file:
                file.write(piece)
        self.generations[-1] += block

    def _line(self) -> bytes:
        self.line_number += 1
        return b"%09d %s\n" % (self.line_number, b"%d " % self.line_number * self.random.randrange(30))

    def rotate(self) -> None:
        """Rotate in one of four ways."""
        aside = self.folder / f"app.log.{len(self.generations)}"
        kind = self.random.choice(("rename", "rename, written to late", "copytruncate", "compress"))
        if kind == "copytruncate":
            shutil.copyfile(self.path, aside)
            os.truncate(self.path, 0)
        else:
            if kind == "rename, written to late":
                self.write(3)
            self.path.rename(aside)
        self.rotated.append(aside)
        self.generations.append(bytearray())
        if kind == "compress" and len(self.rotated) > DELAY_COUNT:
            self._compress(self.rotated.pop(0))

    def _compress(self, path: Path) -> None:
        status = path.stat()
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()
        self.compressed_count += 1


class Torture:
    """Runs the writer against a watcher process."""

    def __init__(self, folder: Path, seed: int) -> None:
        for name in ("logs", "state", "spool"):
            (folder / name).mkdir()
        self.folder = folder
        self.writer = Writer(folder / "logs", seed)
        self.pause = threading.Event()
        self.start()

    def start(self) -> None:
        """Start the watcher."""
        places = [
            str(self.folder / "state"),
            str(self.folder / "logs" / "app.log*"),
            str(self.folder / "spool"),
        ]
        self.child = subprocess.Popen([sys.executable, "-m", "tests.soak.shipper", *places])

    def kill(self) -> None:
        """Kill the watcher and start it again."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.start()

    def run(self, rotation_count: int, kill_count: int, rotation_seconds: float) -> None:
        """Write at a steady rate, rotate and kill at even distances."""
        kill_every = max(1, rotation_count // kill_count)
        began, written = time.monotonic(), 0
        for rotation in range(1, rotation_count + 1):
            while (elapsed := time.monotonic() - began) < rotation * rotation_seconds:
                due = int(elapsed * LINES_PER_SECOND) - written
                if due > 0:
                    self.writer.write(due)
                    written += due
                self.pause.wait(0.01)
            self.writer.write(1)
            self.writer.rotate()
            if rotation % kill_every == 0:
                self.kill()
        self.writer.write(1)

    def published(self) -> FakePublisher:
        """Return everything that was published so far."""
        publisher = FakePublisher()
        publisher.batches.extend(batches(self.folder / "spool"))
        return publisher

    def wait(self, seconds: float) -> None:
        """Wait until as many bytes are published as were written."""
        expected = sum(map(len, self.writer.generations))
        until = time.monotonic() + seconds
        while time.monotonic() < until and len(self.published().text()) < expected:
            self.pause.wait(0.3)

    def stop(self) -> None:
        """End the watcher in order."""
        self.child.terminate()
        self.child.wait(30)


def torture(folder: Path, rotation_count: int, kill_count: int, rotation_seconds: float) -> None:
    """Run, wait and compare."""
    run = Torture(folder, seed=rotation_count)
    try:
        run.run(rotation_count, kill_count, rotation_seconds)
        run.wait(60)
    finally:
        run.stop()
    expected = sorted(bytes(generation) for generation in run.writer.generations if generation)
    assert sorted(run.published().sources().values()) == expected
    assert sum(status.lost_bytes for status in read_status(folder / "state")) == 0
    assert run.writer.compressed_count > 0


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_forty_rotations_and_four_kills(tmp_path: Path) -> None:
    """About 20 seconds: every generation is published whole, once, under one key."""
    torture(tmp_path, rotation_count=40, kill_count=4, rotation_seconds=0.5)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_five_hundred_rotations_and_twenty_kills(tmp_path: Path) -> None:
    """The long form of the same."""
    torture(tmp_path, rotation_count=500, kill_count=20, rotation_seconds=0.5)
