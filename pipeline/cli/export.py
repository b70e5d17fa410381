"""`export`: clean records or the lake's lines as CSV, JSON lines or Parquet."""

from collections.abc import Callable
from functools import partial
from typing import IO

import click

from db.export import Selection, clean_table, lake_table
from pipeline.cli import options, output
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError
from pipeline.export.parquet import ParquetWriter
from pipeline.export.table import Table, Writer, write_table
from pipeline.export.text import CsvWriter, JsonWriter
from pipeline.target import STDOUT, opened

_TABLES = {"clean": clean_table, "lake": lake_table}
_WRITERS: dict[str, Callable[..., Writer]] = {
    "csv": CsvWriter,
    "jsonl": JsonWriter,
    "parquet": ParquetWriter,
}
_TIME = "YYYY-MM-DD or an ISO time, UTC unless it names an offset."


@click.command("export")
@click.argument("stage", type=click.Choice(list(_TABLES)))
@click.option("--since", metavar="TIME", help=f"Only from then on: {_TIME}")
@click.option("--until", metavar="TIME", help="Only before then.")
@click.option("--source", metavar="SOURCE", help="Only this one: an id or path.")
@click.option(
    "--format",
    "named",
    type=click.Choice(list(_WRITERS)),
    default="csv",
    show_default=True,
    help="Of the file.",
)
@click.option("--raw-csv", is_flag=True, help="Texts as they are, formulas of spreadsheets included.")
@click.option(
    "--output", "target", default=STDOUT, metavar="FILE", show_default=True, help="Where to; - is stdout."
)
@options.common
def command(  # noqa: PLR0917 - one for each option
    stage: str,
    since: str | None,
    until: str | None,
    source: str | None,
    named: str,
    raw_csv: bool,
    target: str,
    as_json: bool,
) -> None:
    """Write the columns of clean_logs, or the lines of the lake, of one moment, to a file or stdout.

    --since and --until mean the time in the record for clean, the time of storing for lake. A file appears
    only when it is whole. In CSV an apostrophe stands before a text that a spreadsheet would run as a
    formula, and before one that begins with an apostrophe: take away the first of each text to undo it.
    """
    if target == STDOUT and as_json:
        raise ConfigurationError("--json needs a file to write to: with --output - stdout holds the rows")
    if raw_csv and named != "csv":
        raise ConfigurationError("--raw-csv is about --format csv; other formats are exact anyway")
    first, end = options.moment("--since", since), options.moment("--until", until)
    if first and end and first >= end:
        raise ConfigurationError(f"--until {until} is not after --since {since}")
    writer = partial(CsvWriter, guarded=False) if raw_csv else _WRITERS[named]
    with open_database(options.settings()) as engine:
        chosen = find_source(engine, source).id if source else None
        with opened(target) as file, _TABLES[stage](engine, Selection(first, end, chosen)) as table:
            rows = _written(table, writer, file)
    if as_json:
        output.emit_json({"stage": stage, "format": named, "output": target, "rows": rows})
    elif target != STDOUT:
        print(output.escape(f"{target}: {rows} rows of {stage}"))


def _written(table: Table, writer: Callable[..., Writer], file: IO[bytes]) -> int:
    return write_table(table, writer(table.columns, file))
