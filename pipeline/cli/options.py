"""What the commands have in common: options, settings, the paths to watch."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, get_format, w3c
from pipeline.formats.userfile import register
from pipeline.settings import Settings

_Function = Callable[..., Any]


def common(function: _Function) -> _Function:
    """Add `--json` (passed on as `as_json`) and `--debug` to a command."""
    debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
    )
    return as_json(debug(function))


def backfill(function: _Function) -> _Function:
    """Add `--newest-first`."""
    text = "With --once: begin with the file that was written last."
    return click.option("--newest-first", is_flag=True, help=text)(function)


def moment(option: str, given: str | None) -> datetime | None:
    """Return the moment that an option names, in UTC where it names no offset, None where it is not given.

    Raises:
        ConfigurationError: it is neither a day nor a time.
    """
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigurationError(f"{option} {given}: not a day YYYY-MM-DD or an ISO time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def settings() -> Settings:
    """Return the settings of the environment, and take up the formats of their folder.

    Raises:
        ConfigurationError: a variable or a format file does not fit.
    """
    found = Settings.from_environment()
    register(found.formats_dir)
    return found


def format_name(value: str) -> str:
    """Return the name of a format, built in or of the user's, which only the settings tell; for click.

    Raises:
        BadParameter: there is no such format; lists those there are.
    """
    settings()
    if w3c.makes(value):
        return get_format(value).name
    if value not in FORMATS:
        raise click.BadParameter(f"no format {value!r}; use one of {', '.join(FORMATS)}")
    return value


def patterns(paths: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Return what to watch: the paths of the command line, or those of SLUICE_PATHS.

    Raises:
        ConfigurationError: neither names one.
    """
    chosen = tuple(paths) or tuple(filter(None, settings.paths.split(":")))
    if not chosen:
        raise ConfigurationError("no path to watch: name files, folders or globs, or set SLUICE_PATHS")
    return chosen
