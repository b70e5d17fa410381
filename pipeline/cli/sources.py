"""The sources as the database knows them: opened, listed, found by id or path."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, make_url

from db import schema
from db.engine import make_engine
from db.sources import SourceRow, list_sources, path_text
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Yield an engine on a database whose schema is up to date, for a person who can wait for an answer.

    Raises:
        ConfigurationError: the schema is behind, or the URL is wrong.
        DatabaseUnavailable: the database does not answer.
    """
    if not has_database(settings):
        raise ConfigurationError(
            f"no database in {settings.state_dir} yet: `python -m pipeline run PATH` or "
            "`python -m pipeline migrate` makes it; or set SLUICE_STATE_DIR or DATABASE_URL"
        )
    schema.check(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url, statement_seconds=0, application_name="sluice command")
    try:
        yield engine
    finally:
        engine.dispose()


def has_database(settings: Settings) -> bool:
    """Return False where the file of an embedded database is not made yet."""
    path = make_url(settings.sqlalchemy_url).database
    return not (settings.embedded_database and path) or Path(path).exists()


def find_source(engine: Engine, text: str) -> SourceRow:
    """Return the source of an id of `status`, or of a path that names one source.

    Raises:
        ConfigurationError: no source or several.
    """
    rows = list_sources(engine)
    if text.isdecimal() and (found := [row for row in rows if row.id == int(text)]):
        return found[0]
    paths = (text, path_text(os.path.abspath(text)))  # noqa: PTH100 - links stay, as the watcher keeps them
    found = [row for row in rows if row.path in paths]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.id) for row in found)
        raise ConfigurationError(
            f"{text} names {len(found)} sources (one a generation): give one of the ids {ids}"
        )
    raise ConfigurationError(f"no source has the id or path {text}: see `python -m pipeline status`")
