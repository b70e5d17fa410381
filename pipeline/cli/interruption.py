"""Ctrl-C, SIGTERM, a closed terminal: the first asks for an orderly end, the second ends at once."""

import signal
import threading
from queue import SimpleQueue
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
        self._noticed = False
        self._signals: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._tell, name="interruption", daemon=True).start()
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._noticed:
            raise KeyboardInterrupt
        self._noticed = True
        # Nothing else: a signal may come while the main thread holds the lock of the event that it waits for,
        # or is in the middle of a write to stderr. Of all queues this one may be used then.
        self._signals.put(None)

    def _tell(self) -> None:
        self._signals.get()
        self.asked.set()
        output.say(self._words)
