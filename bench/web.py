"""How long the page takes in Chromium over a table of many lines, from the address to its last figure."""

import statistics
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import SecretStr

from bench.browser import chromium
from bench.nodes import ServiceMissing
from bench.postgres import PrivatePostgres
from bench.queries import count, fill
from bench.report import Report
from bench.servers import DURABILITY, database, scratch
from bench.serving import serving
from db import schema
from db.engine import make_engine
from pipeline.cli import output, reader
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: How much of the end of the log is looked at, by the name of the choice; `all` is the whole of it.
SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "all": timedelta(days=3650),
}
_PARTS = ("loaded", "whole")
_COMPLETE = "() => !/still counting/.test(document.body.innerText)"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"


def web(lines: int, runs: int) -> Report:
    """Fill the clean tables of a PostgreSQL of our own and open the page over some periods.

    Each time by a server that remembers no answer; pages of the database are in memory after the first.

    Raises:
        ConfigurationError: PostgreSQL, Chromium or Playwright is not installed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        try:
            postgres = stack.enter_context(PrivatePostgres(folder / "postgres", **DURABILITY))
            browser = stack.enter_context(chromium())
        except ServiceMissing as missing:
            raise ConfigurationError(str(missing)) from missing
        url = stack.enter_context(database(postgres, "web"))
        schema.upgrade(url)
        engine = make_engine(url, statement_seconds=0)
        stack.callback(engine.dispose)
        scopes = fill(engine, lines)
        count(postgres, engine)
        settings = Settings(state_dir=folder / "var", database_url=SecretStr(url))
        end = scopes["day"].until
        taken = {}
        for name, span in SPANS.items():
            since = max(end - span, scopes["all"].since)
            taken[name] = _opened(browser.new_page(), settings, (since, end), runs)
    return _report(lines, taken)


def _opened(
    page: "Page", settings: Settings, period: tuple[datetime, datetime], runs: int
) -> list[tuple[float, float]]:
    """Return seconds until the page was loaded and until its last figure was there, of each run."""
    ends = {name: f"{end:%Y-%m-%dT%H:%M}" for name, end in zip(("since", "until"), period, strict=True)}
    output.say(f"opening {ends['since']} to {ends['until']}")
    found = []
    for _ in range(runs):
        with reader.parts(settings, "bench web") as parts, serving(parts) as port:
            began = time.monotonic()
            page.goto(f"http://127.0.0.1:{port}/?{urlencode(ends)}")
            loaded = float(page.evaluate(_LOADED))
            page.wait_for_function(_COMPLETE, timeout=120_000)
            found.append((loaded, time.monotonic() - began))
    return found


def _report(lines: int, taken: dict[str, list[tuple[float, float]]]) -> Report:
    medians = {
        name: tuple(statistics.median(run[part] for run in found) for part in (0, 1))
        for name, found in taken.items()
    }
    first = {name: found[0] for name, found in taken.items()}
    rows = [[name, *(f"{second:.2f}" for second in (*first[name], *medians[name]))] for name in taken]
    return Report(
        "web",
        {
            "lines": lines,
            "first_seconds": {name: dict(zip(_PARTS, each, strict=True)) for name, each in first.items()},
            "median_seconds": {name: dict(zip(_PARTS, each, strict=True)) for name, each in medians.items()},
        },
        ["last", *(f"{part}, first" for part in _PARTS), *(f"{part}, median" for part in _PARTS)],
        rows,
        [(f"{name}: {part}", medians[name][number]) for name in taken for number, part in enumerate(_PARTS)],
        f"seconds over {lines:,} lines, median",
        ["seconds from the address, by a server that remembers no answer; whole: with the last figure"],
    )
