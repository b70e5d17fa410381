"""`report`: what the page shows, as one document."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from pipeline.cli import options, output, reader
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError
from pipeline.report.answers import gathered, troubles
from pipeline.report.document import KINDS, written
from pipeline.report.figures import Period, Selection
from pipeline.target import STDOUT, opened

#: How far a report goes back where nothing is said.
USUAL = timedelta(days=1)


@click.command("report")
@click.option("--since", metavar="TIME", help="A day or an ISO time; a day before --until where not given.")
@click.option("--until", metavar="TIME", help="Now where it is not given.")
@click.option("--source", metavar="SOURCE", help="Only of this one: an id or path of `status`.")
@click.option("--compare", "is_compared", is_flag=True, help="Beside the period of the same length before.")
@click.option("--compare-since", metavar="TIME", help="Beside the period of the same length from then on.")
@click.option("--format", "kind", type=click.Choice(list(KINDS)), help="By the name of the file otherwise.")
@click.option("--output", "target", default="report.html", show_default=True, help="- is standard output.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    since: str | None,
    until: str | None,
    source: str | None,
    is_compared: bool,
    compare_since: str | None,
    kind: str | None,
    target: str,
    as_json: bool,
) -> int:
    """Write a report: totals, plots over time, what is most frequent, drifts, sources, what was set apart.

    HTML is one file that needs nothing else; Markdown and JSON hold the same figures. What does not answer is
    named in the report, and the exit code is 1.
    """
    settings, kind = options.settings(), kind or _kind(target)
    period = _period(options.moment("--since", since), options.moment("--until", until))
    compared = _compared(period, options.moment("--compare-since", compare_since), is_compared=is_compared)
    found = None
    if source is not None:
        with open_database(settings) as engine:
            found = find_source(engine, source)
    with reader.parts(settings, "sluice report") as parts:
        selection = Selection(period, found.id if found else None)
        document = gathered(parts, selection, datetime.now(UTC), compared)
    with opened(target) as file:
        file.write(written(replace(document, source=found.path if found else None), kind))
    problems = troubles(document.figures)
    for problem in problems:
        output.complain(problem)
    if as_json and target != STDOUT:
        output.emit_json({"output": target, "format": kind, "problems": problems})
    elif target != STDOUT:
        output.say(f"{target}: {document.title}")
    return FAILED if problems else OK


def _kind(target: str) -> str:
    kind = Path(target).suffix.removeprefix(".")
    if target == STDOUT or kind not in KINDS:
        raise ConfigurationError(f"--output {target}: name the file *.{', *.'.join(KINDS)}, or add --format")
    return kind


def _period(since: datetime | None, until: datetime | None) -> Period:
    until = until or datetime.now(UTC)
    period = Period(since or until - USUAL, until)
    if period.length <= timedelta():
        raise ConfigurationError("--since must lie before --until")
    return period


def _compared(period: Period, since: datetime | None, *, is_compared: bool) -> Period | None:
    if since is not None:
        return Period(since, since + period.length)
    return period.preceding() if is_compared else None
