"""`formats test`: the tests inside format files, and the examples of the built-in formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.formats import FORMATS, get_format
from pipeline.formats.examples import failures
from pipeline.formats.line import LogFormat
from pipeline.formats.userfile import REGISTERED, UserFormat, load


@click.command("test")
@click.argument("name", metavar="[NAME|FILE]", required=False)
@options.common
def command(name: str | None, as_json: bool) -> int:
    """Run the tests inside the format files, and the examples of the built-in formats; exit 1 on a failure.

    NAME is that of one format, FILE a file that need not be in the folder of SLUICE_FORMATS_DIR.
    """
    rows = list(_run(_chosen(name)))
    if as_json:
        output.emit_json({"formats": rows})
    else:
        _print(rows)
    return FAILED if any(row["failures"] for row in rows) else OK


def _chosen(name: str | None) -> list[UserFormat | LogFormat]:
    if name is None:
        return [REGISTERED.get(each, format_) for each, format_ in FORMATS.items()]
    if name.endswith(".toml"):
        return [load(Path(name))]
    return [REGISTERED.get(name, get_format(options.format_name(name)))]


def _run(chosen: list[UserFormat | LogFormat]) -> Iterator[dict[str, Any]]:
    for each in chosen:
        format_, tests = (each.format, each.tests) if isinstance(each, UserFormat) else (each, ())
        found = list(failures(format_, tests))
        yield {"name": format_.name, "version": format_.version, "tests": len(tests), "failures": found}


def _print(rows: list[dict[str, Any]]) -> None:
    heads = ("name", "version", "tests", "failed")
    print(output.table(heads, [(*(row[head] for head in heads[:3]), len(row["failures"])) for row in rows]))
    for row in rows:
        for failure in row["failures"]:
            print(f"{row['name']}: {output.escape(failure)}")
