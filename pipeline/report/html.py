"""Sections as HTML: every value is escaped by Jinja, and no element carries a script or a style."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.blocks import Section
from pipeline.report.chart import bar

FOLDER = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Return the templates of page and report; a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["bar"] = bar
    return made


def style() -> str:
    """Return the style sheet of page and report."""
    return (FOLDER / "style.css").read_text()


def section(each: Section) -> Markup:
    """Return one section."""
    return rendered("section.html", section=each)


def rendered(template: str, **values: Any) -> Markup:
    """Return a template filled in."""
    return Markup(environment().get_template(template).render(values))  # noqa: S704 - Jinja has escaped it


def sections(all_: Sequence[Section]) -> Markup:
    """Return sections in their order."""
    return Markup("\n").join(map(section, all_))
