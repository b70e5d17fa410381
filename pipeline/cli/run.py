"""`run`: the whole system on one machine, until it is stopped or until the files are stored."""

from pathlib import Path

import click

from db import schema
from pipeline import publish
from pipeline.cli import children, options, output
from pipeline.cli.interruption import Interruption
from pipeline.cli.journey import Journey
from pipeline.cli.main import FAILED, INTERRUPTED, OK
from pipeline.cli.mender import Mender
from pipeline.cli.progress import display
from pipeline.cli.reach import Lookout
from pipeline.cli.sources import open_database
from pipeline.cli.summary import Clock, count, summarise
from pipeline.cli.supervisor import Supervisor
from pipeline.errors import BrokerUnavailable, ConfigurationError
from pipeline.settings import Settings
from pipeline.topology import Stage
from pipeline.watch import Finder

#: Said at the first Ctrl-C.
STOPPING = "stopping: the watcher first, then the pools when they have stored what is queued"


@click.command("run")
@click.argument("paths", nargs=-1, metavar="[PATH…]")
@click.option("--once", is_flag=True, help="End when all that is in the files is stored by both stages.")
@options.backfill
@options.common
def command(paths: tuple[str, ...], once: bool, newest_first: bool, as_json: bool) -> int:
    """Stream files, folders or globs (PATH…, or SLUICE_PATHS) through the whole system.

    Supervises the watcher, both pools and, without --once, the scheduler; brings the schema up to date
    first. Ctrl-C stores what is queued and prints the summary; a second one ends at once.
    """
    settings = options.settings()
    patterns = options.patterns(paths, settings)
    output.log_to_stderr("WARNING", settings)
    interruption = Interruption(STOPPING)
    if once:
        Finder(patterns, follow_links=settings.follow_links).require()
    _prepare(settings)
    with open_database(settings) as engine, Supervisor(log_dir(settings)) as supervisor:
        lookout = Lookout(settings, engine, patterns)
        clock = Clock(lookout)
        supervisor.start(children.watcher(patterns, settings, once=once, newest_first=newest_first))
        _start_pools(supervisor, settings, scheduled=not once)
        journey = Journey(supervisor, lookout, Mender(settings, engine), interruption, once=once)
        with display() as shown:
            journey.travel(shown)
        clock.stop()
        well = journey.stop_children()
        counted = count(lookout, engine)
    summarise(counted, clock).show(as_json=as_json)
    if counted.rejected:
        output.say(f"{counted.rejected} lines did not parse: see the reasons in the table rejected_lines")
    if counted.missing_lines:
        output.complain(f"{counted.missing_lines} rows are gone that the ledger accounts for")
    if once and interruption.asked.is_set():
        return INTERRUPTED
    lost = counted.missing_bytes or counted.missing_lines or counted.duplicate_lines
    return FAILED if lost or not well else OK


def log_dir(settings: Settings) -> Path:
    """Return the folder of the children's log files."""
    return settings.state_dir / "log"


def _prepare(settings: Settings) -> None:
    try:
        log_dir(settings).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"SLUICE_STATE_DIR: {settings.state_dir}: {error.strerror}") from error
    # Said here and now: a pool would wait for the file without limit.
    settings.enrichment.generation()
    schema.upgrade(settings.sqlalchemy_url)
    try:
        publish.check(settings)
    except BrokerUnavailable as error:
        output.say(f"waiting: {error}")


def _start_pools(supervisor: Supervisor, settings: Settings, *, scheduled: bool) -> None:
    for stage in Stage:
        supervisor.start(children.pool(stage, settings))
    if scheduled:
        supervisor.start(children.beat(settings))
        if settings.metrics_endpoint:
            supervisor.start(children.exporter(settings))
