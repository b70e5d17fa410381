"""`watch`: the watcher alone, in the foreground; it needs the broker and no database."""

import click

from pipeline import measured
from pipeline.cli import options, output
from pipeline.cli.interruption import Interruption
from pipeline.cli.main import INTERRUPTED, OK
from pipeline.exposure import Pulse, expose
from pipeline.publish import Publisher
from pipeline.watcher import Watcher


@click.command("watch")
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option("--once", is_flag=True, help="End when all that is in the files now is confirmed.")
@options.backfill
@options.common
def command(paths: tuple[str, ...], once: bool, newest_first: bool, as_json: bool) -> int:
    """Publish every line of files, folders or globs (PATH…, or SLUICE_PATHS), and follow them.

    SIGTERM or Ctrl-C ends it after the batch in hand is confirmed.
    """
    settings = options.settings()
    patterns = options.patterns(paths, settings)
    output.log_to_stderr(settings.log_level, settings)
    stop = Interruption("stopping after the batch in hand").asked
    pulse = Pulse("watcher")
    checkpoint = measured.CheckpointCollector(settings.state_dir)
    expose(settings.metrics_endpoint, measured.REGISTRY, pulse, checkpoint)
    with Publisher(settings) as publisher:
        counted = measured.MeasuredPublisher(publisher)
        watcher = Watcher(settings, patterns, counted, newest_first=newest_first, on_step=pulse.beat)
        watcher.run(stop, once=once)
    if as_json:
        output.emit_json({"stopped": stop.is_set(), "paths": list(patterns)})
    return INTERRUPTED if once and stop.is_set() else OK
