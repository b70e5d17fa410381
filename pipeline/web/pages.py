"""What is served: the page, its sections for the live update, the report, style and script. GET alone."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from pipeline.report import document, html
from pipeline.report.blocks import Section
from pipeline.report.cells import visible
from pipeline.report.figures import Ask, Compared, Figures, Rows, Selection, Trouble, rows
from pipeline.report.page import COMPARED, PARTS, STANDING, sections
from pipeline.web import guard
from pipeline.web.choice import RANGES, Choice, Unfit, chosen, source_of
from pipeline.web.kept import Kept

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
KINDS = {".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".css": "text/css; charset=utf-8"}
#: Seconds that a page waits for its figures: what is not there by then follows with the live update.
WAIT_SECONDS = 0.6
#: Seconds between two live updates, and before a wrong password is answered.
LIVE_SECONDS, PAUSE_SECONDS = 2, 0.5
LATE = Trouble("still counting: it follows")


@dataclass(frozen=True)
class Site:
    """What all pages share: who answers the parts, the kept answers, the password, the link to Flower."""

    parts: Mapping[str, Ask]
    kept: Kept
    auth: str = ""
    flower: str = ""


class Guarded(RequestHandler):
    """A page for those who may see it, with every header; errors are pages too."""

    site: Site

    def initialize(self, site: Site) -> None:
        """Take what all pages share."""
        self.site = site

    def set_default_headers(self) -> None:
        """Say what a browser may do with the answer."""
        for name, value in guard.HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        """Answer only those who may see it."""
        if self.request.method not in ("GET", "HEAD"):
            self.set_header("Allow", "GET, HEAD")
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "This page only shows: GET is all that it answers.")
        elif self.site.auth:
            await self._require_password()
        elif not guard.is_own_name(self.request.host):
            self.refuse(HTTPStatus.MISDIRECTED_REQUEST, "Ask for 127.0.0.1 or localhost.")

    async def _require_password(self) -> None:
        given = self.request.headers.get("Authorization", "")
        if guard.is_known(self.site.auth, given):
            return
        if given:
            await asyncio.sleep(PAUSE_SECONDS)
        self.set_header("WWW-Authenticate", 'Basic realm="sluice", charset="UTF-8"')
        self.refuse(HTTPStatus.UNAUTHORIZED, "User and password are needed.")

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error page."""
        self.set_status(status.value)
        self.finish(html.rendered("error.html", status=status, message=message))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer with an error page that says nothing of the inside; the log says the rest."""
        status = HTTPStatus(status_code)
        words = {404: "There is no such page."}
        self.refuse(
            status, words.get(status_code, "Something went wrong; the log of this process says what.")
        )

    def given(self, name: str) -> str:
        """Return a value of the address, "" for none."""
        return self.get_query_argument(name, "")


class NotFound(Guarded):
    """Every other address."""

    def get(self) -> None:
        """Say that there is none."""
        self.write_error(HTTPStatus.NOT_FOUND)

    head = get


class Health(RequestHandler):
    """Whether this process answers, for whoever starts it again; it asks nobody else."""

    def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("web: alive")


class Static(Guarded):
    """Style, scripts and icon."""

    def get(self, name: str) -> None:
        """Answer with a file of the folder, of those that there are."""
        known = {path.name: path for path in (*STATIC.iterdir(), html.FOLDER / "style.css")}
        path = known.get(name)
        if path is None:
            self.write_error(HTTPStatus.NOT_FOUND)
            return
        self.set_header("Content-Type", KINDS[path.suffix])
        self.set_header("Cache-Control", "private, max-age=300")
        self.finish(path.read_bytes())


class Looking(Guarded):
    """What shows figures of a choice."""

    async def choice(self) -> Choice | None:
        """Return the choice of the address; None where it does not fit, which has been answered."""
        try:
            source_id = source_of(self.given)
            # A period with its ends needs no anchor.
            newest = None if self.given("since") else await self._newest(source_id)
            return chosen(self.given, newest, datetime.now(UTC))
        except Unfit as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
            return None

    async def _newest(self, source_id: int | None) -> datetime | None:
        now = datetime.now(UTC)
        selection = chosen(lambda _: "", None, now).selection
        asked = partial(self.site.parts["clock"], Selection(selection.period, source_id))
        task = self.site.kept.ask(("clock", source_id), asked)
        # Where it takes long the page ends now, and with the newest record from the next update on.
        await asyncio.wait([task], timeout=WAIT_SECONDS / 2)
        found = task.result() if task.done() else None
        return found.rows[0][0] if isinstance(found, Rows) else None

    async def figures(self, parts: Iterable[str], selection: Selection, wait: float | None) -> Figures:
        """Return the parts that are answered within `wait` seconds (None: all); the others are late."""
        asked = {
            part: self.site.kept.ask(
                (part, None if part in STANDING else selection), partial(self.site.parts[part], selection)
            )
            for part in parts
            if part in self.site.parts
        }
        if asked:
            await asyncio.wait(asked.values(), timeout=wait)
        return {part: task.result() if task.done() else LATE for part, task in asked.items()}

    async def look(
        self, choice: Choice, wait: float | None = WAIT_SECONDS
    ) -> tuple[Figures, Compared | None]:
        """Return the figures of a choice, and of the period before where they are compared."""
        selection = choice.selection
        before = Selection(selection.period.preceding(), selection.source_id)
        both = [self.figures(PARTS, selection, wait)]
        if choice.is_compared:
            both.append(self.figures(COMPARED, before, wait))
        found = await asyncio.gather(*both)
        return found[0], Compared(before.period, found[1]) if choice.is_compared else None


class Page(Looking):
    """The page itself."""

    async def get(self) -> None:
        """Answer with the page of a choice."""
        choice = await self.choice()
        if choice is None:
            return
        figures, before = await self.look(choice)
        now = datetime.now(UTC)
        shown = sections(figures, choice.selection, now, before)
        sources = [(str(row["id"]), visible(row["path"])) for row in rows(figures, "sources")]
        self.finish(
            html.rendered(
                "page.html",
                choice=choice,
                ranges={name: words for name, (words, _) in RANGES.items()},
                sources=sources,
                sections=_versioned(shown),
                now=now,
                flower=self.site.flower,
                live_seconds=LIVE_SECONDS,
            )
        )

    head = get


class Sections(Looking):
    """The sections that have changed, for the live update."""

    async def get(self) -> None:
        """Answer with the sections whose version is none of those that `have` names."""
        choice = await self.choice()
        if choice is None:
            return
        figures, before = await self.look(choice)
        have = set(self.get_query_arguments("have"))
        shown = _versioned(sections(figures, choice.selection, datetime.now(UTC), before))
        changed = [
            {"name": section.name, "version": version, "html": str(text)}
            for section, version, text in shown
            if version not in have
        ]
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps({"sections": changed, "at": f"{datetime.now(UTC):%H:%M:%S}"}))


class Report(Looking):
    """The report of a choice, to keep."""

    async def get(self, name: str) -> None:
        """Answer with the report as HTML, Markdown or JSON."""
        choice = await self.choice()
        if choice is None:
            return
        figures, before = await self.look(choice, None)
        made = document.Document(figures, choice.selection, datetime.now(UTC), before)
        self.set_header("Content-Type", document.KINDS[name])
        self.set_header("Content-Disposition", f'attachment; filename="sluice-report.{name}"')
        self.finish(document.written(made, name))


def _versioned(shown: Sequence[Section]) -> list[tuple[Section, str, str]]:
    """Return each section with a version that changes with it, and its text."""
    found: list[tuple[Section, str, str]] = []
    for section in shown:
        text = html.section(section)
        found.append((section, hashlib.sha256(text.encode()).hexdigest()[:16], text))
    return found
