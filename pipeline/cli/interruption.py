"""Ctrl-C, SIGTERM, a closed terminal: the first asks for an orderly end, the second ends at once."""

import signal
import threading
from types import FrameType

from pipeline.cli import output

#: Signals that ask for an end.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Notices the signals that ask this process to end; made in the main thread.

    `asked` is set by the first; the second raises KeyboardInterrupt wherever the main thread is.
    """

    def __init__(self, words: str) -> None:
        self.asked = threading.Event()
        self._words = words
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            raise KeyboardInterrupt
        self.asked.set()
        output.say(self._words)
