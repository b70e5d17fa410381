"""A child's output: all of it to a log file of bounded size, its warnings to the supervisor's stderr too."""

import collections
import logging
import logging.handlers
import re
import threading
from pathlib import Path
from typing import IO

from pipeline.cli import output

#: Size at which a log file is rolled over, in bytes, and how many old ones are kept.
LOG_FILE_BYTES, LOG_FILE_COUNT = 10 << 20, 3
#: Last lines kept at hand to explain a child's end.
LAST_LINES = 20
#: Longest wait for the rest of an ended child's output, in seconds.
FINISH_SECONDS = 5.0
#: A line that a person should see now: its level stands before the message.
_LOUD = re.compile(r"^.{0,80}?\b(WARNING|ERROR|CRITICAL)\b|^(error:|Error:|Usage:)")


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log file that grows up to a size; on a full disk lines are lost, and the child goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILE_COUNT, errors="backslashreplace", delay=True
        )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Stay silent: a traceback a line would hide what matters."""


class ChildLog:
    """Follows one child's output on a thread of its own."""

    def __init__(self, name: str, log_dir: Path) -> None:
        self.name = name
        self.path = log_dir / f"{name}.log"
        self.last: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._file = _LogFile(self.path)
        self._thread: threading.Thread | None = None

    def follow(self, stream: IO[bytes]) -> None:
        """Read the stream to its end in the background."""
        self._thread = threading.Thread(
            target=self._read, args=(stream,), name=f"log of {self.name}", daemon=True
        )
        self._thread.start()

    def finish(self) -> None:
        """Wait until the stream of an ended child is read, and close the file."""
        if self._thread:
            self._thread.join(FINISH_SECONDS)
        self._file.close()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                self._take(raw.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))

    def _take(self, line: str) -> None:
        self.last.append(line)
        record = logging.LogRecord(self.name, logging.INFO, "", 0, line, None, None)
        self._file.handle(record)
        if _LOUD.search(line):
            output.relay(self.name, line)
