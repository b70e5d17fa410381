"""The web server: one process, an event loop, and questions in threads."""

import asyncio
import logging
import socket
import threading
from collections.abc import Mapping
from socket import AF_INET, AF_INET6

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from pipeline.errors import ConfigurationError
from pipeline.report.figures import Ask
from pipeline.web.kept import Kept
from pipeline.web.pages import Health, NotFound, Page, Report, Sections, Site, Static

#: Bytes of a request that are taken: nothing is ever sent to this page but its address.
MOST_BYTES = 64 << 10


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        ConfigurationError: the address is taken or is none of this machine.
    """
    try:
        listening = socket.create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except OSError as error:
        raise ConfigurationError(f"--host {host} --port {port}: {error.strerror or error}") from error
    listening.setblocking(False)
    return listening


def serve(
    listening: socket.socket,
    parts: Mapping[str, Ask],
    stop: threading.Event,
    *,
    auth: str = "",
    flower: str = "",
) -> None:
    """Serve the page until `stop`.

    Args:
        listening: where.
        parts: what answers each part of report/figures.py, in threads.
        stop: ends it.
        auth: user:password that everyone has to give, or "".
        flower: where Flower is, or "".
    """
    asyncio.run(_serve(listening, Site(parts, Kept(), auth, flower), stop))


async def _serve(listening: socket.socket, site: Site, stop: threading.Event) -> None:
    server = HTTPServer(_application(site), max_body_size=MOST_BYTES, max_header_size=MOST_BYTES)
    server.add_socket(listening)
    await asyncio.get_running_loop().run_in_executor(None, stop.wait)
    server.stop()
    await server.close_all_connections()
    site.kept.close()


def _application(site: Site) -> Application:
    given = {"site": site}
    return Application(
        [
            ("/", Page, given),
            ("/sections", Sections, given),
            (r"/report\.(html|md|json)", Report, given),
            ("/static/([a-z.]+)", Static, given),
            ("/healthz", Health),
        ],
        default_handler_class=NotFound,
        default_handler_args=given,
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """Say of a request what failed inside, and nothing of those that did not: an address may hold secrets."""
    status = handler.get_status()
    if status >= 500:  # noqa: PLR2004 - of the server
        logging.getLogger(__name__).warning("a page failed with status %d", status)
