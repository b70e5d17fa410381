"""What a process shows over HTTP."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse

import pytest
from prometheus_client import CollectorRegistry, Counter

from pipeline.exposure import Exposure, Pulse
from tests.services import free_port, wait_until


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return a registry with one counter at 3."""
    made = CollectorRegistry()
    Counter("sluice_tries", "Tries.", registry=made).inc(3)
    return made


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    """Return the port of a listener."""
    port = free_port()
    exposure = Exposure(("127.0.0.1", port), registry, Pulse("lake"))
    exposure.start()
    wait_until(lambda: answers(port), "the listener")
    yield port
    exposure.close()


def answers(port: int) -> bool:
    """Tell whether something listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def get(port: int, path: str) -> tuple[HTTPResponse, str]:
    """Return the answer to a request, and its text."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer, answer.read().decode()


def test_metrics_are_in_the_text_format(port: int) -> None:
    """Prometheus finds the registry at /metrics."""
    answer, text = get(port, "/metrics")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "sluice_tries_total 3.0" in text.splitlines()


def test_health_names_the_process(port: int) -> None:
    """A process whose loop turns is alive, and says which it is."""
    answer, text = get(port, "/healthz")

    assert (answer.status, text) == (200, "lake: alive")


def test_a_stuck_loop_is_told(registry: CollectorRegistry) -> None:
    """Without a sign of life for longer than it may take, the answer is 503 with the reason."""
    port = free_port()
    exposure = Exposure(("127.0.0.1", port), registry, Pulse("beat", stuck_seconds=-1.0))
    exposure.start()
    wait_until(lambda: answers(port), "the listener")
    answer, text = get(port, "/healthz")
    exposure.close()

    assert answer.status == 503
    assert text.startswith("beat: no sign of life for 0 s")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/healthz/x"])
def test_nothing_else_is_served(port: int, path: str) -> None:
    """Any other path does not exist, and is not repeated in the answer."""
    answer, text = get(port, path)

    assert answer.status == 404
    assert "passwd" not in text


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x00\xa5\x01\n\n",
        b"GET\n\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000,
    ],
)
def test_hostile_requests_leave_it_answering(
    port: int, raw: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bytes that are no request get an error or nothing; the next scrape is served, and nothing is logged."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass

    assert get(port, "/metrics")[0].status == 200
    assert not capfd.readouterr().err


def test_a_taken_address_is_tried_again(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes on without its listener, says so once, and listens when the address is free."""
    monkeypatch.setattr("pipeline.exposure.RETRY_SECONDS", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        exposure = Exposure(("127.0.0.1", port), registry, Pulse("lake"))
        with caplog.at_level(logging.WARNING):
            exposure.start()
            wait_until(lambda: len(caplog.records) == 1, "a warning")
    wait_until(lambda: answers(port), "the listener")
    exposure.close()

    assert len(caplog.records) == 1
    assert f"SLUICE_METRICS_ADDRESS: 127.0.0.1:{port}" in caplog.text


def test_a_forked_child_does_not_hold_the_port(registry: CollectorRegistry) -> None:
    """When the parent stops listening, its address is free although a child of it lives on."""
    port = free_port()
    exposure = Exposure(("127.0.0.1", port), registry, Pulse("lake"))
    exposure.start()
    wait_until(lambda: answers(port), "the listener")
    forked, go_on = os.pipe()
    child = os.fork()
    if not child:
        os.close(go_on)
        os.read(forked, 1)  # until the parent closes its end
        os._exit(0)
    exposure.close()
    try:
        wait_until(lambda: not answers(port), "the port to be free while the child lives")
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.close(go_on)
        os.waitpid(child, 0)
        os.close(forked)
