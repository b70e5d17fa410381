"""`ask`: the named questions about what the clean stage holds."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from db import queries
from db.counted import Scope
from db.queries import QUERIES
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError

#: How far back is asked where no beginning is given.
RANGE = timedelta(days=1)


@click.command("ask")
@click.argument("question", required=False)
@click.option(
    "--since", metavar="TIME", help="From then on: a day or an ISO time, UTC; else a day before the end."
)
@click.option("--until", metavar="TIME", help="Before then; else up to now.")
@click.option("--source", metavar="SOURCE", help="Only of this one: an id or path of `status`.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of a ranking.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    question: str | None, since: str | None, until: str | None, source: str | None, limit: int, as_json: bool
) -> int:
    """Answer a question by its name: traffic, errors, latency, visitors; without one, list them.

    Times are those in the records; rejected_by_reason and lines_by_day go by when lines were stored. Counts
    answer, kept up behind the load; what they lack yet is read from the records. So answers are exact, but
    for quantiles (in seconds, 1/64 off at most) and visitors (estimated, 1.6 %).
    """
    if question is None:
        _list(as_json)
        return OK
    if question not in QUERIES:
        raise ConfigurationError(f"no question {question!r}; `ask` alone lists them")
    end = options.moment("--until", until) or datetime.now(UTC)
    begin = options.moment("--since", since) or end - RANGE
    if begin >= end:
        raise ConfigurationError(f"--since {begin.isoformat()} is not before the end, {end.isoformat()}")
    with open_database(options.settings()) as engine:
        chosen = find_source(engine, source).id if source else None
        found = queries.answer(engine, question, Scope(begin, end, chosen, limit))
    rows = [[_plain(value) for value in row] for row in found.rows]
    if as_json:
        asked = {"question": question, "since": begin.isoformat(), "until": end.isoformat()}
        output.emit_json({**asked, "columns": found.columns, "rows": rows})
    elif rows:
        # Durations are of microseconds.
        shown = [[f"{value:.6f}" if isinstance(value, float) else value for value in row] for row in rows]
        print(output.table(found.columns, shown))
    else:
        print("nothing in this range")
    return OK


def _list(as_json: bool) -> None:
    if as_json:
        output.emit_json({"questions": list(QUERIES)})
    else:
        print("\n".join(QUERIES))


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it; times are UTC."""
    return value.isoformat() if isinstance(value, date) else value
