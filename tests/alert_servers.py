"""A webhook and a mail server on free ports, which answer as a test says and keep what came."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO

from tests.certificates import Pair

#: Seconds that a slow server takes for a byte.
BYTE_SECONDS = 0.05


class WebhookServer(ThreadingHTTPServer):
    """Answers each POST with the next of `statuses`, the last one for ever; slow ones drip their headers."""

    daemon_threads = True

    def __init__(self, pair: Pair | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.statuses = [200]
        self.is_slow = False
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client may hang up."""


class _Post(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        """Keep the request and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, dict(self.headers), body))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        if self.server.is_slow:
            with suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000:
                    self.wfile.write(bytes([byte]))
                    time.sleep(BYTE_SECONDS)
            return
        self.send_response(status)
        if status in {301, 302, 307}:
            self.send_header("Location", f"http://{self.server.place}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


class MailServer:
    """Speaks as much SMTP as a delivery needs; `answers` replaces its answer to a command."""

    def __init__(self, pair: Pair | None = None, host: str = "127.0.0.1") -> None:
        self.answers: dict[str, str] = {}
        self.is_slow = False
        self.mails: list[str] = []
        self.commands: list[str] = []
        self._pair = pair
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next client
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), ExitStack() as opened:
            opened.enter_context(connection)
            if self.is_slow:
                for byte in b"220-" + b"x" * 10_000:
                    connection.sendall(bytes([byte]))
                    time.sleep(BYTE_SECONDS)
            connection.sendall(b"220 ready\r\n")
            stream: BinaryIO = opened.enter_context(connection.makefile("rb"))
            while line := stream.readline():
                command = line.decode().strip()
                self.commands.append(command)
                verb = command.split(" ")[0].upper()
                connection.sendall(self._answer(verb).encode())
                if verb == "STARTTLS" and self._pair is not None:
                    connection = opened.enter_context(self._secured(connection))
                    stream = opened.enter_context(connection.makefile("rb"))
                if verb == "DATA" and "DATA" not in self.answers:
                    self._take(connection, stream)

    def _answer(self, verb: str) -> str:
        extensions = "AUTH PLAIN" + ("\r\n250-STARTTLS" if self._pair else "")
        usual = {
            "EHLO": f"250-here\r\n250-{extensions}\r\n250 8BITMIME",
            "STARTTLS": "220 go",
            "AUTH": "235 welcome",
            "DATA": "354 go on",
        }
        return f"{self.answers.get(verb, usual.get(verb, '250 ok'))}\r\n"

    def _secured(self, connection: socket.socket) -> socket.socket:
        assert self._pair is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        return context.wrap_socket(connection, server_side=True)

    def _take(self, connection: socket.socket, stream: BinaryIO) -> None:
        lines = []
        while (line := stream.readline()) not in {b".\r\n", b""}:
            lines.append(line)
        self.mails.append(b"".join(lines).decode())
        connection.sendall(f"{self.answers.get('.', '250 taken')}\r\n".encode())


@contextmanager
def webhook_server(pair: Pair | None = None) -> Iterator[WebhookServer]:
    """Run a webhook."""
    server = WebhookServer(pair)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mail_server(pair: Pair | None = None, host: str = "127.0.0.1") -> Iterator[MailServer]:
    """Run a mail server."""
    server = MailServer(pair, host)
    try:
        yield server
    finally:
        server.close()
