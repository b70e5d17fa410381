"""The page of the product, served by a thread of this process."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.report.figures import Ask
from pipeline.web import server


@contextmanager
def serving(parts: Mapping[str, Ask], **options: str) -> Iterator[int]:
    """Yield the port on loopback where the page is; its thread has ended afterwards."""
    stop = threading.Event()
    listening = server.bound("127.0.0.1", 0)
    port = int(listening.getsockname()[1])
    thread = threading.Thread(target=server.serve, args=(listening, parts, stop), kwargs=options)
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
