"""`rejected`: the lines that do not parse, grouped by the kind of their reasons, or one by one."""

from collections.abc import Iterable
from datetime import date
from itertools import islice
from typing import Any

import click

from db.rejected import Group, MadeBy, Rejection, Scope, grouped, listed
from pipeline.cli import caret, options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError


@click.command("rejected")
@click.option("--source", metavar="SOURCE", help="Only of this one: an id or path.")
@click.option("--since", metavar="DAY", help="Only those stored on this UTC day or later: YYYY-MM-DD.")
@click.option("--lines", "words", metavar="TEXT", help="List the lines whose signature holds this text.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Most lines, or groups, to show.",
)
@options.common
def command(source: str | None, since: str | None, words: str | None, limit: int, as_json: bool) -> int:
    """Show the rejected lines by signature: the reason without positions and values, the largest group first.

    Each group has its count, the version of the format that rejected them, and the first line with a caret
    where parsing stopped. After a format has been changed, `replay clean` reads them again.
    """
    with open_database(options.settings()) as engine:
        scope = Scope(_day(since), None if source is None else find_source(engine, source).id)
        if words is not None:
            found = list(islice(listed(engine, scope, words), limit))
            _show("lines", map(_described, found), map(_explained, found), as_json=as_json)
            return OK
        groups = grouped(engine, scope)
    shown = groups[:limit]
    _show("groups", map(_described_group, shown), map(_explained_group, shown), as_json=as_json)
    if len(groups) > limit:
        output.say(f"{len(groups) - limit} smaller groups are not shown: --limit {len(groups)}")
    return OK


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--since {text}: not a day YYYY-MM-DD") from None


def _show(name: str, values: Iterable[dict[str, Any]], sections: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        output.emit_json({name: list(values)})
    else:
        print("\n\n".join(sections) or "no line is rejected")


def _described(line: Rejection) -> dict[str, Any]:
    before, after = caret.around(line.line, line.position or 0)
    return {
        "source_id": line.source_id,
        "path": line.path,
        "line_start": line.line_start,
        **_made_by(line.format),
        "position": line.position,
        "reason": line.reason,
        "before": before,
        "after": after,
    }


def _described_group(group: Group) -> dict[str, Any]:
    first = group.example and _described(group.example)
    return {"signature": group.signature, "count": group.count, **_made_by(group.format), "first": first}


def _made_by(format_: MadeBy) -> dict[str, Any]:
    name, version = format_ or (None, None)
    return {"format": name, "version": version}


def _explained(line: Rejection) -> str:
    place = f"source {line.source_id}, {output.escape(line.path)}, at byte {line.line_start}"
    return f"{place}{_by(line.format)}:\n{caret.pointed(line.line, line.position, line.reason)}"


def _explained_group(group: Group) -> str:
    heading = f"{group.count} rejected{_by(group.format)}, {output.escape(group.signature)}; the first:"
    return heading if group.example is None else f"{heading}\n{_explained(group.example)}"


def _by(format_: MadeBy) -> str:
    return f" by {output.escape(format_[0])}, version {format_[1]}" if format_ else ""
