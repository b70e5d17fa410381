"""`access`: who accessed what and when, by user and by resource."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import IO, Any

import click

from db.access import Question, accesses, summary
from pipeline import logs
from pipeline.cli import options, output
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError
from pipeline.export.table import Chunk, Column, Writer, write_table
from pipeline.export.text import CsvWriter
from pipeline.subject import Kind, Subject

_TIME = "YYYY-MM-DD or an ISO time, UTC unless it names an offset."
#: Most characters of a value that a person is shown.
SHOWN_CHARACTERS = 120


@click.command("access")
@click.option("--user", metavar="USER", help="What this user accessed.")
@click.option("--resource", metavar="PATH", help="Who accessed this path; * at its end: all that begin so.")
@click.option("--since", metavar="TIME", help=f"Only from then on: {_TIME}")
@click.option("--until", metavar="TIME", help="Only before then.")
@click.option("--source", metavar="SOURCE", help="Only of this one: an id or path.")
@click.option(
    "--summary", "summed", is_flag=True, help="A row for each resource of a user, or user of a resource."
)
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout, formulas of spreadsheets made harmless.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    user: str | None,
    resource: str | None,
    since: str | None,
    until: str | None,
    source: str | None,
    summed: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show the accesses of a user, to a resource, or of a user to a resource, in the order of time.

    It reads the clean records, by the time in the record. Where the policy of clean keeps pseudonyms of
    users, their key (SLUICE_PRIVACY_KEY) finds them. With --json each access is an object on a line of its
    own, and the last line says how many they are.
    """
    if user is None and resource is None:
        raise ConfigurationError("name a --user, a --resource, or both")
    if as_csv and as_json:
        raise ConfigurationError("use one of --csv and --json")
    settings = options.settings()
    first, end = options.moment("--since", since), options.moment("--until", until)
    if first and end and first >= end:
        raise ConfigurationError(f"--until {until} is not after --since {since}")
    who = Subject(Kind.USER, user, settings.privacy_key.get_secret_value().encode()) if user else None
    with open_database(settings) as engine:
        chosen = find_source(engine, source).id if source else None
        users = (who.value, *who.pseudonyms) if who else ()
        question = Question(users, resource, first, end, chosen)
        with (summary if summed else accesses)(engine, question) as table:
            rows = write_table(
                table, _writer(as_csv=as_csv, as_json=as_json)(table.columns, sys.stdout.buffer)
            )
    sys.stdout.buffer.flush()
    if as_json:
        output.emit_json({"rows": rows})
    elif not as_csv:
        output.say(f"{rows} rows")


def _writer(*, as_csv: bool, as_json: bool) -> Callable[..., Writer]:
    return CsvWriter if as_csv else _Objects if as_json else _Lines


class _Lines:
    """Rows for a person: values between tabs, escaped and cut."""

    def __init__(self, columns: tuple[Column, ...], stream: IO[bytes]) -> None:
        self._heads = [column.name for column in columns]
        self._stream = stream

    def begin(self) -> None:
        """Write the names of the columns."""
        self._write(self._heads)

    def write(self, chunk: Chunk) -> None:
        """Write rows."""
        for row in zip(*chunk, strict=True):
            self._write(row)

    def end(self) -> None:
        """Write nothing."""

    def _write(self, row: Sequence[Any]) -> None:
        cells = (output.UNKNOWN if value is None else str(value)[:SHOWN_CHARACTERS] for value in row)
        self._stream.write(("\t".join(map(output.escape, cells)) + "\n").encode())


class _Objects(_Lines):
    """Rows as JSON objects of printable ASCII, a line each."""

    def begin(self) -> None:
        """Write nothing."""

    def _write(self, row: Sequence[Any]) -> None:
        values = (value.isoformat() if isinstance(value, datetime) else value for value in row)
        line = logs.json_line(dict(zip(self._heads, values, strict=True)))
        self._stream.write(f"{line}\n".encode())
