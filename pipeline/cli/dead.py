"""`dead`: look at the messages that were given up, publish them again, or remove them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from pipeline import dead
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.dead import Choice, DeadLetter
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.topology import LIVE_QUEUES

_queue = click.option("--queue", "queues", multiple=True, help="Only this queue; may be given several times.")
_signature = click.option("--signature", help="Only dead letters whose signature holds this text.")
_id = click.option("--id", "letter_id", help="Only the dead letter with this id.")


def _choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose dead letters to a command."""
    return _queue(_signature(_id(function)))


@click.group("dead")
def command() -> None:
    """Look at messages that were given up, publish them to their queue again, or remove them for good."""


@command.command("list")
@_queue
@options.common
def list_(queues: tuple[str, ...], as_json: bool) -> int:
    """Show how many dead letters each queue has, grouped by the signature of their error."""
    groups = Counter((letter.queue, letter.signature) for letter in _all(options.settings(), queues))
    rows = [(queue, count, signature) for (queue, signature), count in sorted(groups.items())]
    if as_json:
        keys = ("queue", "count", "signature")
        output.emit_json({"dead": [dict(zip(keys, row, strict=True)) for row in rows]})
    else:
        print(output.table(("queue", "count", "signature"), rows))
    return OK


@command.command()
@_choosing
@options.common
def show(queues: tuple[str, ...], signature: str | None, letter_id: str | None, as_json: bool) -> int:
    """Show dead letters one by one: what happened, and which bytes of which source they carry."""
    choose = _choice(signature, letter_id)
    letters = [_described(letter) for letter in _all(options.settings(), queues) if choose(letter)]
    if as_json:
        output.emit_json({"dead": letters})
    for letter in [] if as_json else letters:
        trace = letter.pop("traceback")
        print("\n".join(f"{name:<12}{output.escape(str(value))}" for name, value in letter.items()))
        print("\n".join(f"    {output.escape(line)}" for line in trace.splitlines()), end="\n\n")
    return OK


@command.command()
@_choosing
@options.common
def replay(queues: tuple[str, ...], signature: str | None, letter_id: str | None, as_json: bool) -> int:
    """Publish dead letters to their queue again; what a stage holds already it does not store twice."""
    settings, choose = options.settings(), _choice(signature, letter_id)
    counts = {queue: dead.replay(settings, queue, choose) for queue in _names(queues)}
    _report("replayed", counts, as_json=as_json)
    return OK


@command.command()
@_choosing
@click.option("--yes", is_flag=True, help="Needed: what is removed cannot be had again from here.")
@options.common
def purge(
    queues: tuple[str, ...], signature: str | None, letter_id: str | None, yes: bool, as_json: bool
) -> int:
    """Remove dead letters for good; the audit will show their bytes as missing, and repair them if it can."""
    if not yes:
        raise ConfigurationError("dead purge removes messages for good: add --yes, or see `dead show` first")
    settings, choose = options.settings(), _choice(signature, letter_id)
    counts = {queue: dead.purge(settings, queue, choose) for queue in _names(queues)}
    _report("purged", counts, as_json=as_json)
    return OK


def _names(chosen: Sequence[str]) -> list[str]:
    known = [queue.name for queue in LIVE_QUEUES]
    for name in chosen:
        if name not in known:
            raise ConfigurationError(f"--queue: there is no queue {name}; use one of {', '.join(known)}")
    return list(chosen) or known


def _all(settings: Settings, queues: Sequence[str]) -> Iterator[DeadLetter]:
    for queue in _names(queues):
        yield from dead.browse(settings, queue)


def _choice(signature: str | None, letter_id: str | None) -> Choice:
    def choose(letter: DeadLetter) -> bool:
        return (signature is None or signature in letter.signature) and letter_id in (None, letter.id)

    return choose


def _described(letter: DeadLetter) -> dict[str, Any]:
    batch = letter.batch
    carried = {
        "batch_id": batch.id if batch else None,
        "host": batch.source.host if batch else None,
        "path": batch.source.path if batch else None,
        "start": batch.start if batch else None,
        "end": batch.end if batch else None,
        "lines": batch.line_count if batch else None,
    }
    return {
        "queue": letter.queue,
        "id": letter.id,
        "reason": letter.reason,
        "replays": letter.replays,
        "size_bytes": letter.size_bytes,
        **carried,
        "traceback": letter.traceback,
    }


def _report(done: str, counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        output.emit_json({done: counts})
    else:
        print(output.table(("queue", done), counts.items()))
