"""`formats`: the log formats there are, and what one makes of a file, without storing anything."""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import click

from pipeline.cli import caret, from_config, options, output, stream
from pipeline.cli import format_tests as tests
from pipeline.cli.main import FAILED, OK
from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, get_format, recognise, scores, trial
from pipeline.formats.base import COLUMNS, Format
from pipeline.formats.detection import recognised
from pipeline.formats.fields import decode
from pipeline.formats.line import LogFormat
from pipeline.formats.trial import Kind, Trial

#: Sets of failed fields that are printed.
MOST_SHOWN = 5

_name = options.format_name


@click.group("formats")
def command() -> None:
    """Show the log formats, and try one on a file; nothing is stored."""
    options.settings()


command.add_command(from_config.command)
command.add_command(tests.command)


@command.command("list")
@options.common
def list_(as_json: bool) -> int:
    """Show the formats: name, version, how many columns each fills, and what writes it."""
    heads = ("name", "version", "columns", "description")
    rows = [(each.name, each.version, len(each.columns), each.description) for each in FORMATS.values()]
    if as_json:
        output.emit_json({"formats": [dict(zip(heads, row, strict=True)) for row in rows]})
    else:
        print(output.table(heads, rows))
    return OK


@command.command()
@click.argument("name", type=_name)
@options.common
def show(name: str, as_json: bool) -> int:
    """Show format NAME: its pattern, the columns of each group, and an example line with its record."""
    format_ = get_format(name)
    records = trial.try_format(format_, [format_.example], 1).first
    values = records[0].values if records else {}
    heads = ("group", "column", "type", "example")
    rows = [
        (group, column, str(COLUMNS[column]), values.get(column))
        for group, columns in _groups(format_)
        for column in columns
    ]
    heading = {key: getattr(format_, key) for key in ("name", "version", "description", "pattern")}
    heading["example"] = decode(format_.example)
    if as_json:
        output.emit_json(heading | {"columns": [dict(zip(heads, row, strict=True)) for row in rows]})
        return OK
    for key, value in filter(itemgetter(1), heading.items()):
        print(f"{key:<13}{output.escape(str(value))}")
    print()
    print(output.table(heads, rows))
    return OK


def _groups(format_: LogFormat) -> list[tuple[str, tuple[str, ...]]]:
    """Return names of groups of the pattern with the columns of each; a reader of lines has one."""
    if isinstance(format_, Format):
        return [(group.name, group.columns) for group in format_.groups]
    return [("line", format_.columns)]


@command.command("try")
@click.argument("path", metavar="FILE")
@click.option("--format", "name", type=_name, help="Try this format rather than the one recognised.")
@click.option(
    "--lines", "limit", type=click.IntRange(min=1), default=10_000, show_default=True, help="Lines to read."
)
@click.option("--records", type=click.IntRange(min=0), default=3, show_default=True, help="Records to show.")
@options.common
def try_(path: str, name: str | None, limit: int, records: int, as_json: bool) -> int:
    """Parse the first lines of FILE, plain or compressed, or of stdin for -; exit 1 where one is rejected.

    Says which format is recognised from the lines, how many of them parse, and shows a line of each kind
    that does not, with a caret under the place where matching stopped.
    """
    with stream.opened(path) as lines:
        blocks = trial.read_blocks(lines, limit)
        head = next(blocks, b"")
        shares = scores(head)
        format_ = get_format(name) if name else _recognised(path, shares, empty=not head)
        tried = trial.try_format(format_, _chain(head, blocks), records, mixed=not name)
    if as_json:
        output.emit_json({"path": path, "limit": limit} | _described(tried, shares))
    else:
        print("\n\n".join(_sections(path, tried, shares, limit)))
    return FAILED if tried.rejected else OK


def _chain(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from blocks


def _recognised(path: str, shares: Mapping[LogFormat, float], *, empty: bool) -> LogFormat:
    format_ = recognise(shares)
    if empty:
        raise ConfigurationError(f"{path}: it is empty, so no format is recognised; name one with --format")
    if format_ is None:
        raise ConfigurationError(
            f"{path}: no format is recognised ({_shares(shares)}; half would do); name one "
            f"with --format to see where its lines stop, or add a format as CONTRIBUTING.md says"
        )
    return format_


def _described(tried: Trial, shares: Mapping[LogFormat, float]) -> dict[str, Any]:
    return {
        "format": tried.format.name,
        "version": tried.format.version,
        "scores": {each.name: share for each, share in shares.items()},
        "lines": tried.lines,
        "records": tried.records,
        "rejected": tried.rejected,
        "partial": tried.partial,
        "headers": tried.headers,
        "others": tried.others,
        "confidence": _confidence(shares),
        "percent": tried.percent,
        "kinds": [_described_kind(kind) for kind in tried.by_count()],
        "types": {column: str(COLUMNS[column]) for column in tried.format.columns},
        "first": [{"line_number": each.line_number, "record": each.values} for each in tried.first],
    }


def _described_kind(kind: Kind) -> dict[str, Any]:
    before, after = caret.around(kind.example.line, kind.example.position or 0)
    return {
        "signature": kind.signature,
        "count": kind.count,
        "line_number": kind.line_number,
        "reason": kind.example.reason,
        "position": kind.example.position,
        "before": before,
        "after": after,
    }


def _sections(path: str, tried: Trial, shares: Mapping[LogFormat, float], limit: int) -> Iterator[str]:
    format_ = tried.format
    more = " (there may be more: --lines)" if tried.lines == limit else ""
    yield "\n".join(
        (
            f"file      {output.escape(path)}",
            f"format    {output.escape(format_.name)}, version {format_.version} ({_shares(shares)})",
            f"lines     {tried.lines}{more}{_counted(tried.headers, 'header lines')}",
            f"records   {tried.records} ({tried.percent:.2f} %)"
            + "".join(_counted(count, f"partial without {names}") for names, count in _partial(tried))
            + "".join(_counted(count, other) for other, count in tried.others.most_common()),
            f"rejected  {tried.rejected}",
        )
    )
    yield from map(_explained, tried.by_count())
    if tried.first:
        yield _records(tried)


def _shares(shares: Mapping[LogFormat, float]) -> str:
    """Return the shares that are not zero, and how sure the largest one is."""
    some = [f"{output.escape(each.name)} {100 * share:.1f} %" for each, share in shares.items() if share]
    found = recognised(shares)
    sure = f"; {100 * found.margin:.1f} % ahead" if found else ""
    return (", ".join(some) or "no format has one of them") + sure


def _confidence(shares: Mapping[LogFormat, float]) -> dict[str, Any] | None:
    found = recognised(shares)
    return (
        None if found is None else {"format": found.format.name, "share": found.share, "margin": found.margin}
    )


def _partial(tried: Trial) -> list[tuple[str, int]]:
    return tried.partial.most_common(MOST_SHOWN)


def _counted(count: int, what: str) -> str:
    return f", {count} {output.escape(what)}" if count else ""


def _explained(kind: Kind) -> str:
    line = kind.example
    heading = f"{kind.count} rejected, {output.escape(kind.signature)}; the first is line {kind.line_number}:"
    return f"{heading}\n{caret.pointed(line.line, line.position, line.reason)}"


def _records(tried: Trial) -> str:
    heads = ["column", "type", *(f"line {each.line_number}" for each in tried.first)]
    return output.table(heads, [_row(column, tried) for column in tried.format.columns])


def _row(column: str, tried: Trial) -> Sequence[object]:
    values = [each.values[column] for each in tried.first]
    shown = [None if value is None else caret.clipped(output.escape(str(value))) for value in values]
    return [column, str(COLUMNS[column]), *shown]
