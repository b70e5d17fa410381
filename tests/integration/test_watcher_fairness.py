"""A flood in one file leaves the others their turn, by a clock of the test."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.blocks import Limits
from pipeline.checkpoint import CheckpointStore
from pipeline.format_choice import FormatChoice
from pipeline.rules import Rules
from pipeline.settings import Settings
from pipeline.sources import Sources
from pipeline.watch import Finder
from pipeline.watcher import Loop, Watcher
from tests.doubles import FakePublisher
from tests.integration.test_watcher import running
from tests.services import wait_until

BATCH_BYTES = 64 << 10
LIMITS = Limits(line_count=100_000, byte_size=BATCH_BYTES, line_bytes=4096)
#: Two megabytes of lines: 32 batches.
FLOOD = b"".join(b"flood %09d\n" % number for number in range(2 << 16))
QUIET = [f"quiet-{number}.log" for number in range(5)]


class Watched:
    """A watcher over a folder with one flooded file and some quiet ones, a step at a time."""

    def __init__(self, folder: Path, bytes_per_second: int) -> None:
        self.folder = folder / "logs"
        self.folder.mkdir()
        for name in ("flood.log", *QUIET):
            (self.folder / name).write_bytes(b"first %s\n" % name.encode())
        self.publisher = FakePublisher()
        self.store = CheckpointStore(folder / "checkpoint")
        self.sources = Sources(Finder([str(self.folder)]), self.store, Rules("host", FormatChoice(), LIMITS))
        self.loop = Loop(
            self.sources,
            self.store,
            self.publisher,
            sweep_seconds=0.01,
            period_seconds=0.0,
            file_bytes_per_second=bytes_per_second,
            sweep_share=float("inf"),
        )
        self.now = 1000.0
        for _ in range(3):
            self.step()
        with (self.folder / "flood.log").open("ab") as file:
            file.write(FLOOD)

    def step(self, seconds: float = 0.1) -> float:
        """Let time pass and step; return the wait that the loop asks for."""
        self.now += seconds
        return self.loop.step(self.now)

    def flooded(self) -> int:
        """Return how many bytes of the flood were published."""
        return sum(len(b.block) for b in self.publisher.batches if b.source.path.endswith("flood.log"))

    def append_to_quiet(self, number: int) -> bytes:
        """Append a line to each quiet file, and return it."""
        line = b"line %d\n" % number
        for name in QUIET:
            with (self.folder / name).open("ab") as file:
                file.write(line)
        return line


@pytest.fixture(params=[0, 1 << 20])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    """Such a folder without a rate, and with one of a megabyte a second."""
    made = Watched(tmp_path, request.param)
    yield made
    made.sources.close()
    made.store.close()


def test_quiet_files_wait_for_a_batch_of_the_flood_and_no_longer(watched: Watched) -> None:
    """Each step publishes every new line of the others beside one batch of the flood at most."""
    for number in range(10):
        before, line = watched.flooded(), watched.append_to_quiet(number)
        watched.step()

        latest = {batch.source.path: batch.block for batch in watched.publisher.batches}
        assert [latest[str(watched.folder / name)] for name in QUIET] == [line] * len(QUIET)
        assert watched.flooded() - before <= BATCH_BYTES

    assert watched.flooded() > BATCH_BYTES


def test_a_rate_holds_on_average(tmp_path: Path) -> None:
    """Of a file no more is published than its rate allows and one batch; all of it comes in the end."""
    rate = 1 << 20
    watched = Watched(tmp_path, rate)
    began, already = watched.now, watched.flooded()
    while watched.flooded() < already + len(FLOOD):
        asked = watched.step(0.01)
        assert watched.flooded() - already <= rate * (watched.now - began) + BATCH_BYTES
        assert asked <= 0.1

    assert watched.now - began >= (len(FLOOD) - BATCH_BYTES) / rate
    assert watched.now - began <= len(FLOOD) / rate + 0.5
    assert watched.publisher.sources()[watched.publisher.batches[-1].source.key].endswith(FLOOD)
    watched.sources.close()
    watched.store.close()


def test_the_setting_slows_a_followed_file_alone(tmp_path: Path) -> None:
    """The watcher takes the rate from the settings; what is read once is read at full speed."""
    log, other = tmp_path / "logs" / "a.log", tmp_path / "logs" / "b.log"
    log.parent.mkdir()
    log.write_bytes(FLOOD)
    settings = Settings(state_dir=tmp_path / "state", file_bytes_per_second=1000, batch_byte_size=BATCH_BYTES)
    publisher = FakePublisher()
    with running(settings, log.parent, publisher):
        wait_until(lambda: len(publisher.batches) == 1, "a batch of the flood")
        other.write_bytes(b"one\n")
        wait_until(lambda: publisher.text().endswith(b"one\n"), "the other file's line")
        assert len(publisher.batches) == 2

    once = FakePublisher()
    again = settings.model_copy(update={"state_dir": tmp_path / "again"})
    Watcher(again, [str(log)], once).run(threading.Event(), once=True)
    assert once.text() == FLOOD
