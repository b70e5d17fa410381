"""A watcher over a folder of logs, stepped by a false clock."""

from collections.abc import Callable
from pathlib import Path

from pipeline.blocks import Limits
from pipeline.checkpoint import CheckpointStore, SourceStatus, read_status
from pipeline.format_choice import FormatChoice
from pipeline.rules import Rules
from pipeline.sources import Sources
from pipeline.watch import Finder
from pipeline.watcher import Loop
from tests.doubles import FakePublisher

LIMITS = Limits(line_count=1000, byte_size=1 << 16, line_bytes=1 << 16)


def lines(first: int, last: int) -> bytes:
    """Return numbered lines."""
    return b"".join(b"line %06d of the log\n" % number for number in range(first, last))


class Shipper:
    """A watcher over a folder of logs that is started, stepped and killed by hand."""

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.state = folder / "state"
        self.pattern = str(self.logs / pattern)
        self.publisher = FakePublisher()
        self.clock = 1000.0
        self.open_count = 512
        self.start()

    def start(self, *, once: bool = False, newest_first: bool = False) -> None:
        """Start on the state that the last one left."""
        rules = Rules("host", FormatChoice(), LIMITS, once, newest_first, self.open_count)
        self.store = CheckpointStore(self.state / "checkpoint")
        self.sources = Sources(Finder([self.pattern]), self.store, rules)
        self.loop = Loop(
            self.sources,
            self.store,
            self.publisher,
            sweep_seconds=1.0,
            period_seconds=0.0,
            sweep_share=float("inf"),
        )

    def kill(self) -> None:
        """End without a last word."""
        self.sources.close()
        self.store.close()

    def work(self, seconds: float = 2.0) -> None:
        """Let sweeps pass until everything is read."""
        until = self.clock + seconds
        while self.clock < until or not (self.loop.done or self.loop.blocked):
            self.clock += 1.0 if self.loop.done or self.loop.blocked else 0.0
            self.loop.step(self.clock)
        self.store.sync()

    def restart(self, change: Callable[[], object]) -> None:
        """Change files while no watcher runs."""
        self.kill()
        change()
        self.start()
        self.work()

    def append(self, name: str, block: bytes) -> Path:
        """Write at the end of a log."""
        path = self.logs / name
        with path.open("ab") as file:
            file.write(block)
        return path

    def status(self) -> dict[str, SourceStatus]:
        """Return the status by file name, of sources that still have a file."""
        return {Path(s.path).name: s for s in read_status(self.state)}

    def lost_bytes(self) -> int:
        """Return what all sources lost."""
        return sum(status.lost_bytes for status in read_status(self.state))
