"""The database as page and report read it: looked at when it is asked, so that it may be away before."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from db import overview, schema
from db.engine import make_engine
from pipeline.cli.sources import has_database
from pipeline.errors import ConfigurationError, PipelineError
from pipeline.report import nearby
from pipeline.report.figures import Ask, Rows, Selection
from pipeline.settings import Settings

#: Connections at once, and the longest that a question may take in seconds.
READERS, QUESTION_SECONDS = 6, 15
#: Seconds after which a database that was not ready is looked at again.
AGAIN_SECONDS = 2.0


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
        # Of many questions at once one looks.
        self._lock = threading.Lock()
        self._error: PipelineError | None = None
        self._looked_at = 0.0

    def before(self, ask: Ask) -> Ask:
        """Return what asks only once the database is ready."""

        def asked(selection: Selection) -> Rows:
            self._look()
            return ask(selection)

        return asked

    def _look(self) -> None:
        with self._lock:
            if self._is_ready:
                return
            # A server that is away takes seconds to say so: not once for each of the questions that wait.
            if self._error is not None and time.monotonic() - self._looked_at < AGAIN_SECONDS:
                raise self._error
            try:
                self._check()
            except PipelineError as error:
                self._error, self._looked_at = error, time.monotonic()
                raise
            self._is_ready = True

    def _check(self) -> None:
        if not has_database(self._settings):
            raise ConfigurationError(f"there is no database in {self._settings.state_dir} yet")
        schema.check(self._settings.sqlalchemy_url)
