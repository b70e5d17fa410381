"""`formats from-config`: the log formats of an nginx.conf or httpd.conf, as format files."""

from pathlib import Path
from typing import Any

import click

from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS
from pipeline.formats.base import Format
from pipeline.formats.serverconfig import FoundFormat, ServerConfig, read_config

#: No configuration is longer, in bytes.
LONGEST_CONFIG_BYTES = 16 << 20


@click.command("from-config")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", help="Print the format file of this format alone, to be saved.")
@options.common
def command(path: Path, name: str | None, as_json: bool) -> int:
    """Read the log formats of FILE, an nginx.conf or httpd.conf, and print each as a format file.

    Lists which logs use them; exit 1 where one makes no format. Files that it includes are named, not read.
    """
    config = _config(path)
    found = [each for each in config.formats.values() if name in (None, each.name)]
    if name and not found:
        known = ", ".join(each.name for each in config.formats.values())
        raise ConfigurationError(f"{path}: no format {name!r}; it has {known or 'none of its own'}")
    results = [(each, *_compiled(each)) for each in found]
    if as_json:
        output.emit_json({"path": str(path), "server": config.server} | _described(config, results))
    elif name:
        print("\n".join(_file(*result) for result in results), end="")
    else:
        print("\n\n".join(_sections(config, results)))
    return FAILED if any(problem for _, _, problem in results) else OK


Result = tuple[FoundFormat, Format | None, str | None]


def _config(path: Path) -> ServerConfig:
    try:
        with path.open("rb") as stream:
            held = stream.read(LONGEST_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(held) > LONGEST_CONFIG_BYTES:
        raise ConfigurationError(f"{path}: longer than {LONGEST_CONFIG_BYTES} bytes, so no configuration")
    try:
        return read_config(held.decode("utf-8", "backslashreplace"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _compiled(found: FoundFormat) -> tuple[Format | None, str | None]:
    if found.is_json:
        return None, None
    try:
        return found.compile(), None
    except ConfigurationError as error:
        return None, str(error)


def _described(config: ServerConfig, results: list[Result]) -> dict[str, Any]:
    formats = [
        {
            "name": found.name,
            "logs": found.logs,
            "json": found.is_json,
            "columns": list(format_.columns) if format_ else [],
            "problem": problem,
            "file": None if format_ is None else found.file(),
        }
        for found, format_, problem in results
    ]
    return {"formats": formats, "logs": _others(config), "includes": config.includes}


def _others(config: ServerConfig) -> list[dict[str, str]]:
    """Return the logs whose format is not defined in the file: built into the server, or in another one."""
    return [{"format": name, "path": path} for name, path in config.logs if name not in config.formats]


def _sections(config: ServerConfig, results: list[Result]) -> list[str]:
    rows = [
        (
            found.name,
            "json" if found.is_json else "fails" if problem else "pattern",
            len(format_.columns) if format_ else None,
            ", ".join(found.logs),
        )
        for found, format_, problem in results
    ]
    rows += [(each["format"], _elsewhere(each["format"]), None, each["path"]) for each in _others(config)]
    sections = [output.table(("format", "read by", "columns", "logs"), rows)]
    if config.includes:
        sections.append(f"not read: {output.escape(', '.join(config.includes))}")
    return [*sections, *(_file(*result) for result in results)]


def _elsewhere(name: str) -> str:
    return "built in" if name in FORMATS else "defined elsewhere"


def _file(found: FoundFormat, format_: Format | None, problem: str | None) -> str:
    if found.is_json:
        return f"# {found.name} writes JSON: the format json reads it, no file is needed\n"
    if format_ is None:
        return f"# {output.escape(problem or '')}\n"
    return found.file()  # what a terminal could obey is escaped in it
