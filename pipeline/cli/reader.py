"""The database as page and report read it: looked at when it is asked, so that it may be away before."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from db import overview, schema
from db.engine import make_engine
from pipeline.cli.sources import has_database
from pipeline.errors import ConfigurationError
from pipeline.report import nearby
from pipeline.report.figures import Ask, Rows, Selection
from pipeline.settings import Settings

#: Connections at once, and the longest that a question may take in seconds.
READERS, QUESTION_SECONDS = 6, 15


@contextmanager
def parts(settings: Settings, application_name: str) -> Iterator[Mapping[str, Ask]]:
    """Yield what answers every part of page and report; no connection of theirs can write."""
    url = settings.sqlalchemy_url
    engine = make_engine(
        url, statement_seconds=QUESTION_SECONDS, application_name=application_name, readers=READERS
    )
    ready = _Ready(settings)
    asked = overview.parts(engine, lambda: nearby.offsets(settings))
    try:
        yield {part: ready.before(ask) for part, ask in asked.items()} | nearby.parts(settings)
    finally:
        engine.dispose()


class _Ready:
    """Looks once whether the database is there and its schema is what is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_ready = False

    def before(self, ask: Ask) -> Ask:
        """Return what asks only once the database is ready."""

        def asked(selection: Selection) -> Rows:
            self._look()
            return ask(selection)

        return asked

    def _look(self) -> None:
        if self._is_ready:
            return
        if not has_database(self._settings):
            raise ConfigurationError(f"there is no database in {self._settings.state_dir} yet")
        schema.check(self._settings.sqlalchemy_url)
        self._is_ready = True
