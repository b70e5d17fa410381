"""The page over HTTP, with figures of the test's own."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from bench.serving import serving
from pipeline.errors import ConfigurationError, DatabaseUnavailable
from pipeline.report.figures import Rows, Selection
from pipeline.web import guard, server
from tests import figures
from tests.figures import parts
from tests.services import wait_until

PAIR = "ann:secret"
PAGES = ("/", "/sections", "/report.html", "/report.md", "/report.json", "/static/style.css", "/none")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]  # by their names in small letters
    text: str


class Client:
    """Asks a server on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Return the answer to a request."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, text
            )
        finally:
            connection.close()


Start = Callable[..., Client]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, and ends them."""
    with ExitStack() as stack:

        def run(asked: Any = None, **options: str) -> Client:
            return Client(stack.enter_context(serving(parts() if asked is None else asked, **options)))

        yield run


def test_the_page_says_the_figures(start: Start) -> None:
    """It is whole without a script: totals, plots, tables, and a form that chooses."""
    answer = start().get("/?since=2026-03-01T10:00&until=2026-03-01T11:00&source=1")

    assert answer.status == 200
    for text in ("7.69 %", "clean_logs", "queue-data-lake", '<option value="1" selected>1: /a</option>'):
        assert text in answer.text
    assert answer.text.count('<svg class="plot"') == 5


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_has_the_headers(start: Start, path: str) -> None:
    """Also an error: nothing from elsewhere, in nobody's frame, not kept by anyone."""
    headers = start().get(path).headers

    assert headers["content-security-policy"] == guard.POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in guard.POLICY
    assert "python" not in headers["server"].lower()


def test_no_element_carries_a_script_or_style(start: Start) -> None:
    """The policy would refuse it."""
    text = start().get("/").text

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! src=\"/static/)", text)
    assert not re.search(r'(?:src|href|action)="(?![/#])', text)


@pytest.mark.parametrize("path", PAGES)
def test_a_password_guards_every_page(start: Start, path: str) -> None:
    """No page, not even a missing one, is shown without it, or with a wrong one."""
    client = start(auth=PAIR)
    known = {"Authorization": "Basic " + base64.b64encode(PAIR.encode()).decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ann:guess").decode()}

    for headers in ({}, wrong, {"Authorization": "Basic %%%"}, {"Authorization": "Bearer x"}):
        refused = client.get(path, **headers)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert "clean_logs" not in refused.text
    assert client.get(path, **known).status == (404 if path == "/none" else 200)
    assert client.get("/healthz").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_answered(start: Start, method: str) -> None:
    """The page has no other method."""
    answer = start().get("/", method=method)

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_another_name_for_loopback_is_refused(start: Start) -> None:
    """A site of elsewhere cannot read the page through a name of its own that leads here."""
    client = start()

    assert client.get("/", Host="evil.example").status == 421
    assert client.get("/", Host=f"localhost:{client.port}").status == 200
    assert client.get("/", Host="[::1]:80").status == 200


@pytest.mark.parametrize("query", ["range=x", "since=1", "source=x", "since=2026-02-02&until=2026-02-01"])
def test_a_choice_that_does_not_fit_is_a_clear_page(start: Start, query: str) -> None:
    """It names what to change; what was given is text."""
    answer = start().get(f"/?{query}%3Cscript%3E")

    assert answer.status == 400
    assert "<script>" not in answer.text
    assert '<a href="/">' in answer.text


def test_a_path_leads_to_no_file(start: Start) -> None:
    """Only files of the folder are served."""
    client = start()

    for path in ("/static/../server.py", "/static/..%2fserver.py", "/static/page.html", "/static/%00"):
        assert client.get(path).status in {400, 404}


def test_sections_come_where_they_have_changed(start: Start) -> None:
    """The live update is sent what the visitor does not have yet."""
    stored = {"hits": 1}

    def traffic(_: Selection) -> Rows:
        rows = figures.figures()["traffic"]
        return Rows(rows.columns, [(*rows.rows[0][:2], stored["hits"])])

    client = start(parts() | {"traffic": traffic})
    address = "/sections?since=2026-03-01T10:00&until=2026-03-01T11:00"
    first = {each["name"]: each["version"] for each in json.loads(client.get(address).text)["sections"]}
    have = "&".join(f"have={version}" for version in first.values())

    def changed() -> set[str]:
        answer = json.loads(client.get(f"{address}&{have}").text)
        return {section["name"] for section in answer["sections"]}

    assert first.keys() >= {"flow", "overview", "timeline", "rankings", "sources", "rejected", "dead"}
    # The plot of the load moves with the time.
    assert changed() <= {"flow"}
    stored["hits"] = 4711
    wait_until(lambda: changed() >= {"overview", "timeline"}, "the change to be told")


def test_what_is_away_is_said(start: Start) -> None:
    """The rest is shown."""

    def away(_: Selection) -> Rows:
        raise DatabaseUnavailable("the database is away")

    answer = start(dict.fromkeys(parts(), away) | {"queues": parts()["queues"]}).get("/")

    assert answer.status == 200
    assert "the database is away" in answer.text
    assert "queue-data-clean" in answer.text


def test_a_page_does_not_wait_for_what_takes_long(start: Start) -> None:
    """It says so, and the live update brings it."""
    ready = threading.Event()

    def slow(_: Selection) -> Rows:
        ready.wait(60)
        return figures.figures()["paths"]

    client = start(parts() | {"paths": slow})
    waiting = client.get("/").text
    ready.set()

    assert "still counting" in waiting
    assert "still counting" not in client.get("/report.md").text


def test_an_error_of_ours_says_nothing_of_the_inside(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The visitor sees a page, the log has the rest."""

    def broken(_: Selection) -> Rows:
        raise RuntimeError("secret inside")

    answer = start(parts() | {"traffic": broken}).get("/")

    assert answer.status == 500
    assert "secret inside" not in answer.text
    assert "secret inside" in caplog.text


def test_a_taken_address_is_named() -> None:
    """The options that choose another one are in the message."""
    with server.bound("127.0.0.1", 0) as taken, pytest.raises(ConfigurationError, match="--port"):
        server.bound("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "logs.example.org", ""])
def test_an_open_address_needs_a_password(host: str) -> None:
    """The refusal names the variable; a pair without a colon, or half of one, is none."""
    with pytest.raises(ConfigurationError, match="SLUICE_WEB_AUTH"):
        guard.require_password(host, "")
    for pair in ("ann", ":secret", "ann:"):
        with pytest.raises(ConfigurationError, match="user:password"):
            guard.require_password(host, pair)
    guard.require_password(host, PAIR)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    """Whoever reaches it is on this machine."""
    guard.require_password(host, "")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//flower", "data:,x"])
def test_a_link_leads_to_a_page(url: str) -> None:
    """An address that a browser would run is refused at start."""
    with pytest.raises(ConfigurationError, match="--flower"):
        guard.require_link(url)
