"""What a process shows of itself over HTTP: /metrics for Prometheus, /healthz for whoever starts it again.

Nothing that is served holds a line, a path or a secret. The listener is plain HTTP without a password: it is
on loopback unless a host is named, and then belongs to a network of its own.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: Seconds before an address that another process holds is tried again: it may be the predecessor's.
RETRY_SECONDS = 5.0
#: Seconds that a client may take for its request.
REQUEST_SECONDS = 5.0
#: Seconds without a sign after which a process counts as stuck: above the longest wait for a confirm.
STUCK_SECONDS = 60.0


class Pulse:
    """The signs of life of a loop, and how long ago the last one was."""

    def __init__(self, name: str, *, stuck_seconds: float = STUCK_SECONDS) -> None:
        self.name = name
        self._stuck_seconds = stuck_seconds
        self._at = time.monotonic()

    def beat(self) -> None:
        """Give a sign of life."""
        self._at = time.monotonic()

    def problem(self) -> str | None:
        """Return in words what is wrong, None if the last sign is fresh."""
        age = time.monotonic() - self._at
        if age <= self._stuck_seconds:
            return None
        return f"{self.name}: no sign of life for {age:.0f} s: it waits for its broker, or hangs"


class Exposure:
    """The listener of one process, on a thread of its own; one whose address is taken tries again."""

    def __init__(self, endpoint: tuple[str, int], registry: CollectorRegistry, pulse: Pulse) -> None:
        self._endpoint = endpoint
        self._registry = registry
        self._pulse = pulse
        self._server: ThreadingHTTPServer | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    def start(self) -> None:
        """Listen in the background until the process ends."""
        # A pool's child must not hold the port of a parent that is started again.
        os.register_at_fork(after_in_child=self._forget)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        if self._server is not None:
            self._server.shutdown()
        self._thread.join()

    def _forget(self) -> None:
        if self._server is not None:
            with suppress(OSError):
                self._server.socket.close()

    def _serve(self) -> None:
        told = False
        while not self._closing.is_set():
            try:
                self._server = _server(self._endpoint, _requests(self._registry, self._pulse))
            except OSError as error:
                if not told:
                    log.warning("SLUICE_METRICS_ADDRESS: %s:%d: %s; trying again", *self._endpoint, error)
                told = True
                self._closing.wait(RETRY_SECONDS)
                continue
            with self._server:
                self._server.serve_forever()


def expose(
    endpoint: tuple[str, int] | None, registry: CollectorRegistry, pulse: Pulse, *collectors: Collector
) -> None:
    """Serve a registry, more collectors and a pulse until the process ends, where an address is set."""
    if endpoint is not None:
        ProcessCollector(registry=registry)
        for collector in collectors:
            registry.register(collector)
        Exposure(endpoint, registry, pulse).start()


def _server(endpoint: tuple[str, int], requests: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = AF_INET6 if ":" in endpoint[0] else AF_INET

    return Server(endpoint, requests)


def _requests(registry: CollectorRegistry, pulse: Pulse) -> type[BaseHTTPRequestHandler]:
    def metrics(accept: str) -> tuple[int, str, bytes]:
        encode, content_type = choose_encoder(accept)
        return 200, content_type, encode(registry)

    def health(_accept: str) -> tuple[int, str, bytes]:
        problem = pulse.problem()
        words = problem or f"{pulse.name}: alive"
        return 503 if problem else 200, "text/plain; charset=utf-8", words.encode()

    pages: dict[str, Callable[[str], tuple[int, str, bytes]]] = {"/metrics": metrics, "/healthz": health}

    class Requests(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS
        server_version, sys_version = "sluice", ""

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            if page is None:
                self.send_error(404)
                return
            status, content_type, body = page(self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no event."""

    return Requests
