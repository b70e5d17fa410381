"""The page over real rows in a real browser: its figures are what SQL counts, and follow a file."""

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bench.serving import serving
from db.engine import make_engine, reading
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import reader
from pipeline.generate import generate_lines
from pipeline.settings import Settings
from tests.acceptance.browsing import TILE, Open
from tests.acceptance.installation import Installation
from tests.services import free_port, stop_child

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

#: Every figure of the page is there.
ANSWERED = "() => !/still counting/.test(document.body.innerText) && !/^\\?$/m.test(document.body.innerText)"


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
            "wanted => document.querySelector('.tile strong')?.textContent.replace(',', '') === wanted",
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
