"""A limit to the whole of a conversation: a server that answers byte by byte outlasts every single wait."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Longest wait for one answer, and for a whole delivery, in seconds.
ANSWER_SECONDS, DELIVERY_SECONDS = 10.0, 20.0


@contextmanager
def deadline(connected: Callable[[], socket.socket | None], seconds: float) -> Iterator[None]:
    """Shut the connection down after so many seconds, so that whoever waits for it gets an error."""

    def end() -> None:
        with contextlib.suppress(OSError):
            if (connection := connected()) is not None:
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
