"""The page and the report in a real browser: figures, live update, hostile texts, accessibility."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pydantic import SecretStr
from sqlalchemy import text

from bench.browser import chromium
from bench.serving import serving
from db.engine import make_engine, reading
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import reader
from pipeline.generate import generate_lines
from pipeline.report.document import Document, written
from pipeline.report.figures import Ask, Rows
from pipeline.settings import Settings
from tests import payloads
from tests.acceptance.installation import Installation
from tests.figures import NOW, SELECTION, figures, parts
from tests.services import free_port, stop_child

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.slow

#: The hour of tests/figures.py.
HOUR = "since=2026-03-01T10:00&until=2026-03-01T11:00"
#: The rules of WCAG 2.2 AA, and what axe recommends beyond.
RULES = {"resultTypes": ["violations"]}
WINDOWS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
#: Notes every breach of the policy of a page; runs before anything of it.
WATCH = "addEventListener('securitypolicyviolation', e => (window.breaches ||= []).push(e.violatedDirective))"
#: What a section of the page, or a tile of it, says.
TILE = ".tile:has(dt:text-is('{}')) strong"


#: Every figure of the page is there.
ANSWERED = "() => !/still counting/.test(document.body.innerText) && !/^\\?$/m.test(document.body.innerText)"


class Browser:
    """A Chromium, and what the pages in it asked for and ran."""

    def __init__(self, context: "BrowserContext") -> None:
        self.context = context
        self.requests: list[str] = []
        self.ran: list[str] = []
        context.add_init_script(WATCH)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("dialog", self._dismiss)
        context.on("weberror", lambda error: self.ran.append(str(error.error)))

    def _dismiss(self, dialog: Any) -> None:
        self.ran.append(dialog.message)
        dialog.dismiss()

    def open(self, address: str) -> "Page":
        """Return a page that has loaded."""
        page = self.context.new_page()
        page.goto(address, wait_until="load")
        return page

    def breaches(self, page: "Page") -> list[str]:
        """Return the rules of its policy that a page has broken."""
        found: list[str] = page.evaluate("window.breaches || []")
        return found


Open = Callable[..., Browser]


@pytest.fixture
def browse() -> Iterator[Open]:
    """Starts browsers, and ends them."""
    with ExitStack() as stack:
        yield lambda **options: Browser(stack.enter_context(chromium(**options)))


@pytest.fixture
def shown() -> Iterator[str]:
    """Address of the page over the figures of the tests."""
    with serving(parts()) as port:
        yield f"http://127.0.0.1:{port}/?{HOUR}"


def hostile() -> dict[str, Rows]:
    """Return the figures of the tests once for each payload, in the place of every text of a log."""
    each = [figures(payload) for payload in payloads.XSS]
    return {
        part: Rows(rows.columns, [row for all_ in each for row in all_[part].rows])
        for part, rows in each[0].items()
    }


def constant(found: dict[str, Rows]) -> dict[str, Ask]:
    """Return what answers with these figures."""

    def answer(part: str) -> Ask:
        return lambda _: found[part]

    return {part: answer(part) for part in found}


def test_no_payload_of_forty_runs_in_the_page(browse: Open) -> None:
    """They are text on it, no script runs, no request leaves, no element of theirs is there; live too."""
    browser = browse()
    with serving(constant(hostile())) as port:
        page = browser.open(f"http://127.0.0.1:{port}/?{HOUR}")
        said = page.inner_text("main")
        # The live update puts the same texts in by script.
        page.evaluate("document.querySelectorAll('.holder').forEach(each => each.dataset.version = 'x')")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.holder')].every(e => e.dataset.version != 'x')"
        )

        assert not [each for each in payloads.XSS if " ".join(each.split()) not in " ".join(said.split())]
        elements = set(
            page.evaluate("[...new Set([...document.querySelectorAll('main *')].map(e => e.localName))]")
        )
        assert not elements & {
            "script",
            "img",
            "iframe",
            "object",
            "embed",
            "form",
            "input",
            "meta",
            "link",
            "base",
        }
        assert browser.ran == []
        assert browser.breaches(page) == []
        assert {
            address for address in browser.requests if not address.startswith(f"http://127.0.0.1:{port}/")
        } == set()


def test_no_payload_of_forty_runs_in_the_report(browse: Open, tmp_path: Path) -> None:
    """Nor in the file, which asks for nothing at all."""
    browser = browse()
    path = tmp_path / "report.html"
    path.write_bytes(written(Document(hostile(), SELECTION, NOW), "html"))
    page = browser.open(path.as_uri())

    assert payloads.XSS[0] in page.inner_text("main")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).display") == "grid"
    assert browser.ran == []
    assert browser.breaches(page) == []
    assert browser.requests == [path.as_uri()]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_and_report_are_accessible(
    browse: Open, shown: str, tmp_path: Path, scheme: str, window: str
) -> None:
    """Axe finds nothing, in dark and light, wide and narrow; a phone need not scroll sideways."""
    browser = browse(color_scheme=scheme, viewport=WINDOWS[window])
    report = tmp_path / "report.html"
    report.write_bytes(written(Document(figures(), SELECTION, NOW), "html"))

    for address in (shown, f"{shown}&compare=1", shown.replace("since", "range"), report.as_uri()):
        page = browser.open(address)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        found = Axe().run(page, options=RULES)

        assert found.response["violations"] == [], found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= WINDOWS[window]["width"]
        assert browser.breaches(page) == []


def test_the_keyboard_reaches_everything_and_is_seen(browse: Open, shown: str) -> None:
    """The first step leads past the form; each stop has a name and a visible outline."""
    page = browse().open(shown)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"

    stops = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "(e => [e.getAttribute('aria-label') || e.name || e.innerText || e.localName,"
            " getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        if name == "" or page.evaluate("document.activeElement === document.body"):
            break
        assert outline != "none", name
        stops.add(name.strip())
    assert {
        "range",
        "since",
        "until",
        "source",
        "compare",
        "Show",
        "Live",
        "Dark or light",
        "Report",
    } <= stops
    assert any(stop.startswith("Values as a table") for stop in stops)


def test_colours_are_switched_and_kept(browse: Open, shown: str) -> None:
    """From what the system has, and still so at the next visit."""
    browser = browse(color_scheme="light")
    page = browser.open(shown)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)

    assert dark != light
    assert browser.open(shown).evaluate(ground) == dark


def test_the_page_is_whole_without_scripts(browse: Open, shown: str) -> None:
    """All figures, and a choice by the form; the buttons that need a script are not there."""
    page = browse(java_script_enabled=False).open(shown)

    assert page.inner_text(TILE.format("Records")) == "13"
    assert not page.is_visible("#live")
    page.select_option("select[name=range]", "1h")
    page.click("button[type=submit]")
    assert "range=1h" in page.url
    assert page.inner_text("h1") == "Sluice"


@pytest.fixture
def stored(database_url: str, tmp_path: Path) -> tuple[Settings, CleanStore]:
    """Settings of a database with 3,000 generated lines, some that do not parse, and its clean stage."""
    settings = Settings.from_environment(state_dir=tmp_path / "var", database_url=SecretStr(database_url))
    engine = make_engine(database_url)
    source = Source("ab" * 16, "web-1", "/var/log/access.log", format="combined")
    block = b"".join(generate_lines(3000, seed=7)) + b"not a log line\n" * 3
    store = CleanStore(engine)
    LakeStore(engine).store(Batch(source, 0, block))
    store.store(Batch(source, 0, block))
    return settings, store


def question(settings: Settings, statement: str) -> Any:
    """Return the first value of the answer to a statement of our own."""
    engine = make_engine(settings.sqlalchemy_url)
    try:
        with reading(engine) as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        engine.dispose()


def number(shown: str) -> float:
    """Return the number that a figure of the page says."""
    return float(re.sub(r"[^\d.]", "", shown))


def test_figures_equal_sql_and_follow_it(browse: Open, stored: tuple[Settings, CleanStore]) -> None:
    """Totals, shares, rankings, rejected lines are what plain SQL counts; a line stored appears."""
    settings, store = stored
    browser = browse()
    with reader.parts(settings, "sluice test") as asked, serving(asked) as port:
        page = browser.open(f"http://127.0.0.1:{port}/?since=2026-01-01&until=2026-01-03")
        # What takes long on a busy machine follows with the live update.
        page.wait_for_function(ANSWERED, timeout=90_000)
        records, errors = (
            question(settings, f"SELECT count(*) FROM clean_logs WHERE {condition}")
            for condition in ("1 = 1", "status >= 500")
        )

        assert number(page.inner_text(TILE.format("Records"))) == records
        assert number(page.inner_text(TILE.format("Server errors"))) == round(100 * errors / records, 2)
        assert number(page.inner_text(TILE.format("Rejected lines"))) == 3
        ranked = page.locator("#rankings table:has(caption:has-text('Most requested paths')) tbody tr")
        path, hits = (cell.strip() for cell in ranked.first.locator("th, td").all_inner_texts()[:2])
        top = "SELECT path, count(*) AS n FROM clean_logs GROUP BY path ORDER BY n DESC, path LIMIT 1"
        assert path == question(settings, top)
        assert number(hits) == question(settings, f"SELECT n FROM ({top}) AS top")
        bars = page.eval_on_selector_all(
            "#timeline .plot >> nth=0 >> rect title", "all => all.map(e => e.textContent)"
        )
        assert sum(number(bar.rpartition(" ")[2]) for bar in bars) == records

        line = next(iter(generate_lines(1, seed=8)))
        store.store(Batch(Source("cd" * 16, "web-2", "/b.log", format="combined"), 0, line))
        page.wait_for_function(
            "wanted => document.querySelector('.tile strong').textContent.replace(',', '') === wanted",
            arg=str(records + 1),
            timeout=90_000,
        )
        assert browser.breaches(page) == []


def test_a_line_appended_to_a_file_appears(browse: Open, tmp_path: Path) -> None:
    """Through watcher, both queues, both pools and the page of their own processes, without a reload."""
    log = tmp_path / "access.log"
    log.write_bytes(b"".join(generate_lines(10, seed=1)))
    installation = Installation(tmp_path)
    address = f"http://127.0.0.1:{(port := free_port())}/"
    system, page_process = installation.start("run", log), installation.start("web", "--port", port)
    try:
        browser = browse()
        page = browser.context.new_page()
        _until_it_answers(page, address)
        shows = "wanted => document.querySelector('.tile strong')?.textContent === wanted"
        page.wait_for_function(shows, arg="10", timeout=90_000)
        with log.open("ab") as file:
            file.write(next(iter(generate_lines(1, seed=2))))
        page.wait_for_function(shows, arg="11", timeout=90_000)

        assert page.inner_text("#sources td.good") == "complete"
        assert browser.breaches(page) == []
    finally:
        for process in (page_process, system):
            stop_child(process, signal.SIGTERM)
            process.communicate()


def _until_it_answers(page: "Page", address: str) -> None:
    from playwright.sync_api import Error  # noqa: PLC0415

    for _ in range(100):
        try:
            page.goto(address)
        except Error:
            page.wait_for_timeout(300)
        else:
            return
    raise AssertionError("the page did not answer")
