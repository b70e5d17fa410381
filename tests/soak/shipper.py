"""A watcher in its own process, to be killed: what it publishes goes to a file that outlives it."""

import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.batch import Batch, Source
from pipeline.settings import Settings
from pipeline.watcher import Watcher

HEADER = struct.Struct(">32sQI")


class FilePublisher:
    """Keeps batches in a file; a batch that was cut off by a kill was never confirmed."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / f"{os.getpid()}.spool", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Write each batch."""
        for batch in batches:
            block = batch.block
            os.write(self._file, HEADER.pack(batch.source.key.encode(), batch.start, len(block)) + block)
            yield batch


def batches(folder: Path) -> Iterator[Batch]:
    """Yield every whole batch of every process, oldest first."""
    for spool in sorted(folder.glob("*.spool"), key=lambda path: path.stat().st_ctime_ns):
        content, at = spool.read_bytes(), 0
        while at + HEADER.size <= len(content):
            key, start, length = HEADER.unpack_from(content, at)
            at += HEADER.size + length
            if at <= len(content):
                yield Batch(Source(key.decode(), "host", ""), start, content[at - length : at])


def main(state: str, pattern: str, spool: str) -> None:
    """Follow a pattern until a signal comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = Settings.from_environment(state_dir=Path(state), sweep_seconds=0.2, host="host")
    Watcher(settings, [pattern], FilePublisher(Path(spool))).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
