"""Is the configuration right, and does everything answer? One answer for each question."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from db import schema
from pipeline import formats, publish, scanner
from pipeline.cli import options
from pipeline.cli.sources import has_database
from pipeline.errors import ConfigurationError, PipelineError
from pipeline.folders import make_private
from pipeline.settings import Settings
from pipeline.watch import Finder


@dataclass(frozen=True)
class Check:
    """The outcome of one check; `message` says what was found, or what to change."""

    name: str
    ok: bool
    message: str


def checks(paths: tuple[str, ...]) -> list[Check]:
    """Check settings, state folder, format, broker, database and schema, and that each path can be read."""
    try:
        settings = options.settings()
    except ConfigurationError as error:
        return [Check("settings", ok=False, message=str(error))]
    chosen = paths or tuple(filter(None, settings.paths.split(":")))
    return [
        Check("settings", ok=True, message=_mode(settings)),
        *(_try(name, check, settings) for name, check in _CHECKS.items()),
        *(_try("path", partial(_readable, path), settings) for path in chosen),
    ]


def _try(name: str, check: Callable[[Settings], str], settings: Settings) -> Check:
    try:
        return Check(name, ok=True, message=check(settings))
    except PipelineError as error:
        return Check(name, ok=False, message=str(error))


def _mode(settings: Settings) -> str:
    broker = "embedded broker" if settings.embedded_broker else "RabbitMQ"
    return f"{broker}, {'SQLite' if settings.embedded_database else 'PostgreSQL'}"


def _writable(settings: Settings) -> str:
    try:
        make_private(settings.state_dir)
    except OSError as error:
        raise ConfigurationError(f"SLUICE_STATE_DIR: {settings.state_dir}: {error.strerror}") from error
    if not os.access(settings.state_dir, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"SLUICE_STATE_DIR: {settings.state_dir} cannot be written: grant the permission"
        )
    return str(settings.state_dir)


def _format(settings: Settings) -> str:
    for name in settings.format_choice.names:
        formats.get_format(name)
    return settings.log_format


def _enrichment(settings: Settings) -> str:
    enrichment = settings.enrichment
    columns = [
        set(enrichment.format(format_).columns) - set(format_.columns) for format_ in formats.FORMATS.values()
    ]
    return ", ".join(sorted(set().union(*columns))) or "none"


def _broker(settings: Settings) -> str:
    publish.check(settings)
    return "exchange, queues and bindings are there"


def _database(settings: Settings) -> str:
    if not has_database(settings):
        return "not made yet: `run` and `migrate` make it"
    schema.check(settings.sqlalchemy_url)
    return "the schema is up to date"


def _readable(path: str, settings: Settings) -> str:
    finder = Finder([path], follow_links=settings.follow_links)
    finder.require()
    return f"{path}: {len(finder.sweep())} readable"


def _loops(_: Settings) -> str:
    if scanner.library() is None:
        return "in Python, more slowly: apt install gcc libc6-dev, then sh .ci/scanner"
    return "compiled"


_CHECKS = {
    "state folder": _writable,
    "format": _format,
    "enrichment": _enrichment,
    "inner loops": _loops,
    "broker": _broker,
    "database": _database,
}
