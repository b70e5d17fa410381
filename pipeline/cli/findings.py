"""`findings`: attacks, errors and slowness that the detections noticed."""

from dataclasses import asdict
from typing import Any

import click
from sqlalchemy import Engine

from db.detecting import Look
from db.findings import Finding, Wanted, example_lines, findings
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import find_source, open_database
from pipeline.detect.sighting import KINDS
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

#: Characters of an example line that are printed.
SHOWN_CHARACTERS = 160


@click.command("findings")
@click.option("--source", "name", metavar="SOURCE", help="Only of this one: an id or path of `status`.")
@click.option("--kind", type=click.Choice(KINDS), help="Only of this kind.")
@click.option("--since", metavar="TIME", help="Only what was noticed then or later: a day or an ISO time.")
@click.option("--open", "lasting", is_flag=True, help="Only what has not been quiet for an hour.")
@click.option(
    "--recheck",
    "checked",
    metavar="SOURCE",
    help="Look at all that is stored of this source again, from nothing known, and keep nothing.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest ones.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    name: str | None,
    kind: str | None,
    since: str | None,
    lasting: bool,
    checked: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """Show what the detections noticed: which rule, about whom or what, since when, with lines.

    Beat looks at what the clean stage has stored each time an audit is due. What lasts is one finding; it is
    closed after an hour of quiet. docs/insight.md explains each rule.
    """
    if checked and (name or kind or since or lasting):
        raise ConfigurationError("--recheck looks at all of one source: leave out the other choices")
    if checked:
        return _recheck(options.settings(), checked, as_json=as_json)
    seen = options.moment("--since", since)
    with open_database(options.settings()) as engine:
        source_id = find_source(engine, name).id if name else None
        wanted = Wanted(source_id, kind, seen, lasting=lasting, limit=limit)
        answers = _answers(engine, findings(engine, wanted))
    if as_json:
        output.emit_json({"findings": answers})
    elif answers:
        print("\n\n".join(map(_shown, answers)))
    else:
        print("nothing was noticed")
    return OK


def _recheck(settings: Settings, name: str, *, as_json: bool) -> int:
    with open_database(settings) as engine:
        found = Look(engine, settings.rules).look_again(find_source(engine, name).id)
    if as_json:
        output.emit_json({"sightings": [asdict(each) for each in found]})
        return OK
    rows = [(each.since.isoformat(" ", "seconds"), each.severity, each.rule, each.summary) for each in found]
    print(output.table(("since", "severity", "rule", "said"), rows) if rows else "nothing is noticed")
    return OK


def _answers(engine: Engine, found: list[Finding]) -> list[dict[str, Any]]:
    lines = example_lines(engine, found)
    return [asdict(each) | {"lines": lines[each.id]} for each in found]


def _shown(found: dict[str, Any]) -> str:
    place = f", source {found['source_id']}, {found['path']}" if found["source_id"] is not None else ""
    since, until, seen = (found[key].isoformat(" ", "seconds") for key in ("since", "until", "seen_at"))
    lines = [
        f"finding {found['id']} ({found['kind']}, {found['severity']}, {found['state']}){place}",
        f"  rule      {found['rule']}: {found['subject']}",
        f"  lasted    {since} to {until}, last noticed {seen}",
        f"  said      {found['summary']}",
        *(f"  line      {each['offset']}: {each['line'][:SHOWN_CHARACTERS]}" for each in found["lines"]),
    ]
    return "\n".join(output.escape(line) for line in lines)
