"""`drift`: where the lines of a source ceased to be what they were."""

import shlex
from dataclasses import asdict
from typing import Any

import click

from db import drifting
from db.drifts import Noticed, described, noticed, quantity
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import find_source, open_database
from pipeline.drift.detector import FORMAT_KINDS
from pipeline.errors import ConfigurationError

#: Characters of an example line, and measures, that are printed.
SHOWN_CHARACTERS, SHOWN_CHANGES = 160, 8


@click.command("drift")
@click.option("--source", "name", metavar="SOURCE", help="Only of this one: an id or path of `status`.")
@click.option("--since", metavar="TIME", help="Only what was noticed then or later: a day or an ISO time.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest ones.")
@click.option(
    "--recheck",
    "checked",
    metavar="SOURCE",
    help="Look at all that is stored of this source again, from nothing known, and keep nothing.",
)
@options.common
def command(name: str | None, since: str | None, limit: int, checked: str | None, as_json: bool) -> int:
    """Show the drifts that were noticed: what changed, from what to what, and since when, with lines.

    Beat looks at what the clean stage has stored each time an audit is due. Watched are rejected lines,
    presence of fields, formats, status, method, sizes and length of lines, and hosts, agents, paths and
    messages of a kind not seen before.
    """
    if checked and (name or since):
        raise ConfigurationError("--recheck looks at all of one source: leave out --source and --since")
    with open_database(options.settings()) as engine:
        if checked:
            found = list(drifting.look_again(engine, find_source(engine, checked).id))
        else:
            chosen = find_source(engine, name).id if name else None
            found = noticed(engine, source_id=chosen, since=options.moment("--since", since), limit=limit)
    if as_json:
        output.emit_json({"drifts": [_answer(drift) for drift in found]})
    elif found:
        print("\n\n".join(_shown(drift) for drift in found))
    else:
        print("no drift was noticed" if not checked else "no drift is found")
    return OK


def advice(drift: Noticed) -> list[str]:
    """Return what to do where the lines themselves look different: other kinds are for people to judge."""
    if drift.kind not in FORMAT_KINDS:
        return []
    return [
        f"python -m pipeline formats try {shlex.quote(drift.path)}",
        f"python -m pipeline replay clean --source {drift.source_id} --dry-run",
    ]


def _answer(drift: Noticed) -> dict[str, Any]:
    return asdict(drift) | {"summary": described(drift), "advice": advice(drift)}


def _shown(drift: Noticed) -> str:
    number = f"drift {drift.id}" if drift.id is not None else "drift"
    lines = [f"{number} ({drift.kind}), source {drift.source_id}, {drift.path}"]
    since = drift.since.isoformat(" ", "seconds") if drift.since else "no time"
    lines.append(f"  since     byte {drift.start} ({since}), noticed at byte {drift.end}")
    for change in drift.changes[:SHOWN_CHANGES]:
        before, after = (quantity(change["name"], change[key]) for key in ("before", "after"))
        lines.append(f"  changed   {change['name']}: {before} → {after}")
    if len(drift.changes) > SHOWN_CHANGES:
        lines.append(f"            and {len(drift.changes) - SHOWN_CHANGES} more, with --json")
    lines += [
        f"  {when:<9} {example['offset']}: {example['line'][:SHOWN_CHARACTERS]}"
        for when in ("before", "after")
        for example in drift.examples.get(when, [])
    ]
    lines += [f"  try       {each}" for each in advice(drift)]
    return "\n".join(output.escape(line) for line in lines)
