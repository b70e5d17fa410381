"""A report as one document: HTML that needs nothing else, Markdown, or JSON."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from markupsafe import Markup

from pipeline.report import html, markdown
from pipeline.report.blocks import Section
from pipeline.report.figures import Compared, Figures, Period, Rows, Selection
from pipeline.report.page import sections

KINDS = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a report says: figures of a selection, when it was made, those of another period to compare.

    `source` is the path of the source where it is of one alone.
    """

    figures: Figures
    selection: Selection
    made: datetime
    before: Compared | None = None
    source: str | None = None

    @property
    def title(self) -> str:
        """What it is, and of when."""
        return f"Sluice report, {span(self.selection.period)}"

    @property
    def about(self) -> str:
        """Which source, and what it is compared with."""
        source = f"source {self.selection.source_id}" if self.selection.source_id else "all sources"
        named = f"{source}, {self.source}" if self.source else source
        return named if self.before is None else f"{named}; compared with {span(self.before.period)}"

    def sections(self) -> list[Section]:
        """Return the sections."""
        return list(sections(self.figures, self.selection, self.made, self.before))


def span(period: Period) -> str:
    """Return a period in words."""
    return f"{period.since:%Y-%m-%d %H:%M} to {period.until:%Y-%m-%d %H:%M} UTC"


def written(document: Document, kind: str) -> bytes:
    """Return a document as bytes; `kind` is one of KINDS."""
    return _WRITERS[kind](document).encode()


def _html(document: Document) -> str:
    # The hash is of exactly what stands between the tags.
    style = html.style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return html.rendered(
        "report.html",
        title=document.title,
        about=document.about,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=digest,
        sections=[html.section(section) for section in document.sections()],
        made=f"{document.made:%Y-%m-%d %H:%M:%S}",
    )


def _markdown(document: Document) -> str:
    return markdown.written(document.title, document.about, document.sections())


def _json(document: Document) -> str:
    period = document.selection.period
    whole = {
        "since": period.since,
        "until": period.until,
        "source_id": document.selection.source_id,
        "made_at": document.made,
        "figures": _parts(document.figures),
    }
    if document.before is not None:
        whole["before"] = {
            "since": document.before.period.since,
            "until": document.before.period.until,
            "figures": _parts(document.before.figures),
        }
    return json.dumps(whole, default=_plain, indent=1) + "\n"


def _parts(figures: Figures) -> dict[str, Any]:
    return {
        part: found.named() if isinstance(found, Rows) else {"trouble": found.message}
        for part, found in figures.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


_WRITERS: dict[str, Callable[[Document], str]] = {"html": _html, "md": _markdown, "json": _json}
