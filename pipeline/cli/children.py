"""The children of `run`: how each is started; Celery is reached by its command line, never imported."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from pipeline.cli.supervisor import Recipe
from pipeline.logs import Style
from pipeline.settings import Settings
from pipeline.topology import Stage

WATCHER, BEAT, EXPORTER = "watcher", "beat", "exporter"
#: Names of the pools, in the order of their stages.
POOLS = tuple(stage.value for stage in Stage)
#: Who serves metrics, in the order of their ports, from that of SLUICE_METRICS_ADDRESS on.
PORTS = (WATCHER, *POOLS, BEAT, EXPORTER)


def exporter(settings: Settings) -> Recipe:
    """Return the recipe of what serves the figures of database and broker."""
    return _exposed(Recipe(EXPORTER, (sys.executable, "-m", "pipeline", "metrics")), settings)


def _exposed(recipe: Recipe, settings: Settings) -> Recipe:
    """Return the recipe with the address of its metrics: each child has a port of its own."""
    if settings.metrics_endpoint is None:
        return recipe
    host, port = settings.metrics_endpoint
    address = f"[{host}]:{port + PORTS.index(recipe.name)}"
    return replace(recipe, variables={"SLUICE_METRICS_ADDRESS": address})


def watcher(paths: Sequence[str], settings: Settings, *, once: bool, newest_first: bool = False) -> Recipe:
    """Return the recipe of the watcher; with `once` it ends when all that is there is confirmed."""
    options = [*(["--once"] if once else []), *(["--newest-first"] if newest_first else [])]
    command = (sys.executable, "-m", "pipeline", "watch", *options, "--", *paths)
    return _exposed(Recipe(WATCHER, command, lasting=not once), settings)


def pool(stage: Stage, settings: Settings) -> Recipe:
    """Return the recipe of a stage's pool."""
    concurrency = settings.lake_concurrency if stage is Stage.LAKE else settings.clean_concurrency
    # Pools need not know each other: gossip and mingle only cost messages, and files in embedded mode.
    quiet = ["--without-gossip", "--without-mingle"]
    if settings.embedded_broker:
        quiet.append("--without-heartbeat")
    worker = ["worker", "-Q", stage.queue_name, "-n", f"{stage.value}@%h", "-c", str(concurrency)]
    return _celery(stage.value, settings, *worker, "-l", settings.log_level, *quiet)


def beat(settings: Settings) -> Recipe:
    """Return the recipe of the scheduler."""
    # An empty pid file: the supervisor knows whether it runs, and a stale file must not stop a restart.
    return _celery(BEAT, settings, "beat", "-l", settings.log_level, "--pidfile=")


def _celery(name: str, settings: Settings, *arguments: str) -> Recipe:
    # Without the drawing at the start, which is no JSON line.
    quiet = ["-q"] if settings.log_style == Style.JSON else []
    command = (sys.executable, "-m", "celery", "-A", "tasks", *quiet, *arguments)
    return _exposed(Recipe(name, command), settings)
