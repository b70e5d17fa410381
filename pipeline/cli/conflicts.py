"""`conflicts`: other bytes for a range that is stored already; see both, and choose which stay."""

from dataclasses import asdict
from typing import Any

import click

from db import resolve as choices
from db.resolve import Contradiction, Keep
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import open_database
from pipeline.errors import ConfigurationError
from pipeline.target import STDOUT, opened

#: Most characters of a line that `show` prints.
SHOWN_CHARACTERS = 200
_id = click.argument("conflict_id", type=int, metavar="ID")


@click.group("conflicts")
def command() -> None:
    """Look at ranges for which two contents arrived, and choose which one stays.

    The first to arrive is stored, the second is kept apart: two hosts that read one network file, a log that
    was rewritten, a checkpoint that was put back. `audit` ends with code 1 while a conflict is open.
    """


@command.command("list")
@click.option("--all", "resolved", is_flag=True, help="Also those that are resolved.")
@options.common
def list_(resolved: bool, as_json: bool) -> int:
    """Show the open conflicts: stage, source and byte range."""
    with open_database(options.settings()) as engine:
        found = [_described(each) for each in choices.contradictions(engine, resolved=resolved)]
    if as_json:
        output.emit_json({"conflicts": found})
    else:
        heads = ("id", "stage", "source", "path", "start", "end", "seen_at", "resolved_at")
        keys = ("id", "stage", "source_id", *heads[3:])
        print(output.table(heads, [[each[key] for key in keys] for each in found]))
    return OK


@command.command()
@_id
@click.option("--output", "target", metavar="FILE", help="Write the second bytes there; - is stdout.")
@options.common
def show(conflict_id: int, target: str | None, as_json: bool) -> int:
    """Show where the two contents of conflict ID part, and the line of each at that place."""
    if target == STDOUT and as_json:
        raise ConfigurationError("--json needs a file to write to: with --output - stdout holds the bytes")
    with open_database(options.settings()) as engine:
        found = choices.contradiction(engine, conflict_id)
    if target is not None:
        with opened(target) as file:
            file.write(found.second)
    if as_json:
        output.emit_json(_described(found) | {"output": target})
    elif target != STDOUT:
        for name, value in _described(found).items():
            print(f"{name:<13}{output.escape(str(value))}")
    return OK


@command.command()
@_id
@click.option(
    "--keep", type=click.Choice([str(keep) for keep in Keep]), required=True, help="Which bytes stay."
)
@options.common
def resolve(conflict_id: int, keep: str, as_json: bool) -> int:
    """Let the first or the second bytes of conflict ID stay, in both stages.

    `--keep first` leaves what is stored; `--keep second` puts the other bytes in its place, in one
    transaction, and parses them again. What loses is kept by the conflict: the choice can be made again.
    """
    settings = options.settings()
    with open_database(settings) as engine:
        done = choices.resolve(engine, conflict_id, Keep(keep), settings.enrichment)
    if as_json:
        output.emit_json({"resolved": [asdict(each) for each in done]})
    for each in [] if as_json else done:
        print(f"conflict {each.conflict_id} ({each.stage}): the {each.kept} bytes stay")
    return OK


def _described(found: Contradiction) -> dict[str, Any]:
    fields = asdict(found)
    first, second = fields.pop("first"), fields.pop("second")
    position = None if first is None else _parting(first, second)
    at = position or 0
    return fields | {
        "differs_at": None if position is None else found.start + position,
        "first_line": None if first is None else _line(first, at),
        "second_line": _line(second, at),
    }


def _parting(first: bytes, second: bytes) -> int | None:
    """Return the position of the first byte that differs, None where none does."""
    return next((i for i, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1]), None)


def _line(block: bytes, position: int) -> str:
    """Return the line around a position, for reading."""
    start = block.rfind(b"\n", 0, position) + 1
    end = block.find(b"\n", position)
    line = block[start : end if end >= 0 else None]
    return line[: 4 * SHOWN_CHARACTERS].decode(errors="backslashreplace")[:SHOWN_CHARACTERS]
