"""The engine and the stores of one process, made at first use: after the fork, never shared."""

import importlib
import os
from functools import cache

from sqlalchemy import Engine

from db.detecting import Look
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.enrich import agent
from pipeline.formats import privacy
from pipeline.settings import Settings


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_environment()


def prepare_clean() -> None:
    """Load before the fork what every child of a clean pool would load again: numpy, the rules of agents."""
    # No thread for each core: we multiply no matrices, and a process that forks should have no threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    importlib.import_module("db.tally")
    if "agent" in settings().enrich.split(","):
        agent.prepare()


@cache
def engine() -> Engine:
    """Return the engine of this process."""
    return make_engine(settings().sqlalchemy_url)


@cache
def detections() -> Look:
    """Return the look of the detections, with the rules of this process."""
    return Look(engine(), settings().rules)


@cache
def lake() -> LakeStore:
    """Return the store of the lake stage."""
    return LakeStore(engine())


@cache
def clean() -> CleanStore:
    """Return the store of the clean stage."""
    privacy.adopt(settings().privacy)
    return CleanStore(engine(), settings().enrichment)
