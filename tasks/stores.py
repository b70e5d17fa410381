"""The engine and the stores of one process, made at first use: after the fork, never shared."""

from functools import cache

from sqlalchemy import Engine

from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.settings import Settings


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_environment()


@cache
def engine() -> Engine:
    """Return the engine of this process."""
    return make_engine(settings().sqlalchemy_url)


@cache
def lake() -> LakeStore:
    """Return the store of the lake stage."""
    return LakeStore(engine())


@cache
def clean() -> CleanStore:
    """Return the store of the clean stage."""
    return CleanStore(engine(), settings().enrichment)
