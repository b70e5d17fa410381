"""A log that grows: numbered lines with a checksum, which both stages can read."""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Seconds between two bursts of a writer that runs beside a test.
BURST_SECONDS = 0.05


def target(run: str, number: int) -> str:
    """Return the request path of a line: run, number, checksum of both, filler of a length that varies."""
    name = f"{run}/{number}"
    return f"/{name}/{zlib.crc32(name.encode()):08x}/{'x' * (number * 7 % 40)}"


def line(run: str, number: int) -> bytes:
    """Return a line of the combined format."""
    request = f"GET {target(run, number)} HTTP/1.1"
    return f'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "{request}" 200 12 "-" "curl/8"\n'.encode()


class Writer:
    """Appends lines to one log, and knows what it wrote."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.run = run
        self.count = 0
        path.touch()

    def write(self, count: int) -> None:
        """Append so many lines with one system call; then they count as attempted."""
        lines = [line(self.run, number) for number in range(self.count, self.count + count)]
        with self.path.open("ab", buffering=0) as log:
            log.write(b"".join(lines))
        self.count += count

    def targets(self) -> list[str]:
        """Return the request path of each line that was written, in order."""
        return [target(self.run, number) for number in range(self.count)]

    def write_for(self, seconds: float, rate: int, stop: threading.Event | None = None) -> None:
        """Append so many lines a second for a while, or until `stop`."""
        pace = stop or threading.Event()
        for _ in range(max(1, round(seconds / BURST_SECONDS))):
            self.write(max(1, round(rate * BURST_SECONDS)))
            if pace.wait(BURST_SECONDS):
                return

    @contextmanager
    def writing(self, rate: int, most: int = 10_000_000) -> Iterator[None]:
        """Append so many lines a second beside the block, and at most so many in all."""
        stop = threading.Event()
        seconds = most / rate
        thread = threading.Thread(target=self.write_for, args=(seconds, rate, stop), name="writer")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
