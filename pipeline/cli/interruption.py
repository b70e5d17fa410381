"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once."""

import signal
import threading
from types import FrameType

from pipeline.cli import output


class Interruption:
    """Notices the signals that ask this process to end; made in the main thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    @property
    def asked(self) -> bool:
        """True once an end has been asked for."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for that long at most, and return whether an end has been asked for."""
        return self._asked.wait(seconds)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()
        output.say("stopping: the watcher first, then the pools when they have stored what is queued")
