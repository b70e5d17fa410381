"""The page and the report in a real browser: hostile texts, accessibility, keyboard, no scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from bench.serving import serving
from pipeline.report.document import Document, written
from pipeline.report.figures import Ask, Rows
from tests import payloads
from tests.acceptance.browsing import HOUR, TILE, Open
from tests.figures import NOW, SELECTION, figures, parts

pytestmark = pytest.mark.slow

#: The rules of WCAG 2.2 AA, and what axe recommends beyond.
RULES = {"resultTypes": ["violations"]}
WINDOWS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}


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
