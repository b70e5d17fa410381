"""`watch`: the watcher alone, in the foreground; it needs the broker and no database."""

import signal
import threading

import click

from pipeline.cli import options, output
from pipeline.publish import Publisher
from pipeline.watcher import Watcher


@click.command("watch")
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option("--once", is_flag=True, help="End when all that is in the files now is confirmed.")
@options.common
def command(paths: tuple[str, ...], once: bool, as_json: bool) -> None:
    """Publish every line of files, folders or globs (PATH…, or SLUICE_PATHS), and follow them.

    SIGTERM or Ctrl-C ends it after the batch in hand is confirmed.
    """
    settings = options.settings()
    patterns = options.patterns(paths, settings)
    output.log_to_stderr(settings.log_level)
    stop = stop_event()
    with Publisher(settings) as publisher:
        Watcher(settings, patterns, publisher).run(stop, once=once)
    if as_json:
        output.emit_json({"stopped": stop.is_set(), "paths": list(patterns)})


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
