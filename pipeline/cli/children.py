"""The children of `run`: how each is started; Celery is reached by its command line, never imported."""

import sys
from collections.abc import Sequence

from pipeline.cli.supervisor import Recipe
from pipeline.logs import Style
from pipeline.settings import Settings
from pipeline.topology import Stage

WATCHER, BEAT = "watcher", "beat"
#: Names of the pools, in the order of their stages.
POOLS = tuple(stage.value for stage in Stage)


def watcher(paths: Sequence[str], *, once: bool, newest_first: bool = False) -> Recipe:
    """Return the recipe of the watcher; with `once` it ends when all that is there is confirmed."""
    options = [*(["--once"] if once else []), *(["--newest-first"] if newest_first else [])]
    return Recipe(
        WATCHER, (sys.executable, "-m", "pipeline", "watch", *options, "--", *paths), lasting=not once
    )


def pool(stage: Stage, settings: Settings) -> Recipe:
    """Return the recipe of a stage's pool."""
    concurrency = settings.lake_concurrency if stage is Stage.LAKE else settings.clean_children
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
    return Recipe(name, (sys.executable, "-m", "celery", "-A", "tasks", *quiet, *arguments))
