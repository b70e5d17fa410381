"""`replay`: what is kept, parsed again."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import click
from sqlalchemy import Engine

from db.cleaned import Choice
from db.difference import Difference, preview
from db.replay import Tally, replay
from db.slices import Order
from db.sources import SourceRow, list_sources
from pipeline import maintenance
from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import find_source, open_database
from pipeline.enrich.enrichment import Enrichment
from pipeline.errors import ConfigurationError
from pipeline.maintenance import REPLAY_TASK

#: What is counted for each source.
COUNTS = ("ranges", *(each.name for each in fields(Tally) if each.name != "first_unavailable"))


@click.group("replay")
def command() -> None:
    """Parse again what the lake holds, after a format changed."""


@command.command()
@click.option("--source", "sources", multiple=True, metavar="SOURCE", help="Only this one: an id or path.")
@click.option(
    "--since",
    metavar="TIME",
    help="Only ranges that clean stored then or later: YYYY-MM-DD or an ISO time, UTC unless it names an "
    "offset. Not the time in the lines; a replay stores anew, its ranges count from then on.",
)
@click.option("--format", "named", type=options.format_name, help="Read --source with this format.")
@click.option("--all", "redo", is_flag=True, help="Also what today's version has read already.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change, with examples.")
@click.option("--background", is_flag=True, help="Leave it to the lake pool, a slice at a time.")
@options.common
def clean(  # noqa: PLR0917 - one for each option
    sources: tuple[str, ...],
    since: str | None,
    named: str | None,
    redo: bool,
    dry_run: bool,
    background: bool,
    as_json: bool,
) -> int:
    """Read the lake's bytes with today's formats, and replace what clean made of them.

    A range (one segment) is replaced in one transaction, while everything runs. What today's version has read
    is skipped: interrupted, the same command goes on where it stopped. Ranges whose bytes the lake does not
    hold stay as they are, with exit code 1. With --background the lake pool does it in tasks of a second, for
    a share of its time (SLUICE_REPLAY_SHARE), as it does by itself once a format's version has risen. What
    --format names becomes the format of the source; pools that run take it up when they start again.
    """
    if named and not sources:
        raise ConfigurationError("--format changes how a source is read from now on: name it with --source")
    if background and dry_run:
        raise ConfigurationError("--dry-run shows its result here: leave out --background")
    choice = Choice(options.moment("--since", since), named, redo)
    settings = options.settings()
    with open_database(settings) as engine:
        rows = [find_source(engine, text) for text in sources] if sources else list_sources(engine)
        if background:
            _send(Order(choice, tuple(row.id for row in rows) if sources else ()), as_json=as_json)
            return OK
        run = preview if dry_run else _replayed
        enrichment = settings.enrichment
        found = [(row, run(engine, row, choice, enrichment)) for row in dict.fromkeys(rows)]
    if as_json:
        output.emit_json({"dry_run": dry_run, **_sums(found), "sources": [_answer(*each) for each in found]})
    else:
        _show(found)
    return FAILED if _sums(found)["unavailable"] else OK


def _send(order: Order, *, as_json: bool) -> None:
    """Send an order to the lake pool.

    Raises:
        BrokerUnavailable: the broker did not take it.
        ConfigurationError: the pool would not do it.
    """
    settings = options.settings()
    if not settings.replay_share:
        raise ConfigurationError("SLUICE_REPLAY_SHARE is 0: raise it, or leave out --background")
    task_id = maintenance.send(settings, REPLAY_TASK, order.encode(), words=f"({order})")
    if as_json:
        output.emit_json({"task": REPLAY_TASK, "id": task_id})
    else:
        print(f"{REPLAY_TASK} {task_id}: a lake pool does it; Flower and its log show how far it is")


def _replayed(engine: Engine, source: SourceRow, choice: Choice, enrichment: Enrichment) -> Difference:
    return Difference(replay(engine, source, choice, enrichment))


def _counts(found: Difference) -> dict[str, int]:
    return {name: getattr(found.tally, name) for name in COUNTS}


def _sums(found: Sequence[tuple[SourceRow, Difference]]) -> dict[str, int]:
    return {name: sum(_counts(each)[name] for _, each in found) for name in COUNTS}


def _answer(source: SourceRow, found: Difference) -> dict[str, Any]:
    changed = {name: asdict(change) for name, change in found.changed.items()}
    missing = found.tally.first_unavailable
    return {
        "id": source.id,
        "path": source.path,
        **_counts(found),
        "changed": changed,
        "first_unavailable": missing,
    }


def _show(found: Sequence[tuple[SourceRow, Difference]]) -> None:
    rows = [(source.id, source.path, *_counts(each).values()) for source, each in found]
    print(output.table(("id", "path", *COUNTS), rows))
    changes = [
        (source.id, name, change.count, _examples(change.examples))
        for source, each in found
        for name, change in each.changed.items()
    ]
    if changes:
        print()
        print(output.table(("id", "column", "changed", "examples"), changes))
    for source, each in found:
        if each.tally.unavailable:
            ranges = ", ".join(f"[{low}, {high})" for low, high in each.tally.first_unavailable)
            output.say(
                f"source {source.id}: {each.tally.unavailable} ranges stay as they are, from {ranges} on: "
                "missing in the lake: audit --repair first; or other bytes there: see conflicts list"
            )


def _examples(examples: Sequence[tuple[object, object]]) -> str:
    return "; ".join(f"{_text(old)} → {_text(new)}" for old, new in examples)


def _text(value: object) -> str:
    return output.UNKNOWN if value is None else str(value)
