"""Format files of users: TOML, each with one format and its tests (docs/user-formats.md)."""

import importlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS
from pipeline.formats.base import Format
from pipeline.formats.examples import Example
from pipeline.formats.jsonlines import json_format
from pipeline.formats.line import LineFormat, LogFormat
from pipeline.formats.logfmt import logfmt_format
from pipeline.formats.naming import Use, columns_of
from pipeline.formats.userfields import field_use, named_use
from pipeline.formats.userpattern import compiled, default_uses, reader

T = TypeVar("T")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
#: What a file's format may be.
Made = Format | LineFormat
#: A smallint holds the version.
MOST_VERSION = 32767
#: The ways to say what a line looks like: exactly one of them stands in a file.
KINDS = ("pattern", "json", "logfmt", "nginx", "apache")
KEYS = ("name", "version", "description", "example", "continuation", "fields", "map", "test", *KINDS)
TEST_KEYS = ("line", "record", "rejected", "at")


@dataclass(frozen=True)
class UserFormat:
    """A file's format and tests."""

    path: Path
    format: LogFormat
    tests: tuple[Example, ...]


#: What is registered, by name.
REGISTERED: dict[str, UserFormat] = {}


def register(folder: Path | None) -> None:
    """Put the formats of a folder's `*.toml` files behind the built-in ones, in place of those put before.

    Raises:
        ConfigurationError: names the folder, or the file, the key and what to change.
    """
    found: dict[str, UserFormat] = {}
    for path in _files(folder) if folder else []:
        user = load(path)
        if user.format.name in found:
            raise ConfigurationError(
                f"{path}: name: {found[user.format.name].path} has {user.format.name!r} too: choose another"
            )
        found[user.format.name] = user
    for name in REGISTERED:
        FORMATS.pop(name, None)
    REGISTERED.clear()
    REGISTERED.update(found)
    FORMATS.update({name: user.format for name, user in found.items()})


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError as error:
        raise ConfigurationError(f"SLUICE_FORMATS_DIR: {folder}: {error.strerror}") from error


def load(path: Path) -> UserFormat:
    """Return the format and the tests of a file.

    Raises:
        ConfigurationError: names the file, the key and what to change.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # TOML's and UTF-8's
        raise ConfigurationError(f"{path}: no TOML: {error}") from error
    try:
        return UserFormat(path, _format(table), tuple(map(_test, _tables(table, "test"))))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _format(table: dict[str, Any]) -> LogFormat:
    _refuse_others(table, KEYS, "")
    kinds = [kind for kind in KINDS if table.get(kind)]
    if len(kinds) != 1:
        raise ConfigurationError(f"one of {', '.join(KINDS)} must be there, and only one")
    name, version = _text(table, "name"), table.get("version")
    if not NAME.fullmatch(name) or name == "auto":
        raise ConfigurationError(
            "name: use lower-case letters, digits, - and _, a letter first, and not auto"
        )
    if name in FORMATS and name not in REGISTERED:
        raise ConfigurationError(f"name: {name!r} is built in: choose another")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MOST_VERSION:
        raise ConfigurationError(f"version: a whole number from 1 to {MOST_VERSION}, raised with each change")
    made = _MAKERS[kinds[0]](kinds[0], table)
    example = _text(table, "example").encode()
    description = _text(table, "description")
    format_ = replace(made, name=name, version=version, description=description, example=example)
    if not format_.match(example):
        raise ConfigurationError(f"example: it does not parse: {format_.explain(example).reason}")
    return format_


def _by_pattern(_kind: str, table: dict[str, Any]) -> Made:
    pattern = _text(table, "pattern").strip("\n")
    _at("pattern", compiled, pattern)
    given = _table(table, "fields")
    groups = default_uses(pattern)
    uses = {name: field_use(name, given[name]) if name in given else use for name, use in groups.items()}
    if unknown := [name for name in given if name not in groups]:
        raise ConfigurationError(f"fields.{unknown[0]}: the pattern has no such group")
    columns = columns_of(uses.values())
    if "timestamp" not in columns:
        raise ConfigurationError('fields.NAME: no field fills the column "timestamp": name a group time')
    rule = None
    if "continuation" in table:
        rule = re.compile(_at("continuation", compiled, _text(table, "continuation")).pattern.encode())
        columns = tuple(dict.fromkeys((*columns, "message", "continues")))
    return LineFormat(
        *("", 1, columns, reader(pattern, uses)),
        pattern=pattern,
        continuation=rule,
    )


def _by_names(kind: str, table: dict[str, Any]) -> Made:
    given = _table(table, "map")
    uses: Mapping[str, Use] = {name: named_use(name, value) for name, value in given.items()}
    make = json_format if kind == "json" else logfmt_format
    return make("", uses=uses)


def _by_server(kind: str, table: dict[str, Any]) -> Made:
    module = importlib.import_module(f"pipeline.formats.{kind}")
    make: Callable[[str, str], Made] = getattr(module, f"from_{kind}")
    return _at(kind, make, _text(table, "name"), _text(table, kind))


_MAKERS: dict[str, Callable[[str, dict[str, Any]], Made]] = {
    "pattern": _by_pattern,
    "json": _by_names,
    "logfmt": _by_names,
    "nginx": _by_server,
    "apache": _by_server,
}


def _test(table: dict[str, Any]) -> Example:
    _refuse_others(table, TEST_KEYS, "test.")
    record, rejected = table.get("record"), table.get("rejected", "")
    if (record is None) == (not rejected):
        raise ConfigurationError("test: either record or rejected must be there, and rejected not empty")
    at = table.get("at", datetime.now(UTC))
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ConfigurationError("test.at: a time with its zone, such as 2026-11-24T12:00:00Z")
    return Example(_text(table, "line", "test.").encode(), record, rejected, at)


def _at(key: str, make: Callable[..., T], *arguments: str) -> T:
    """Return what is made of the value of a key, whose name an error gets."""
    try:
        return make(*arguments)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}: {error}") from None


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{key}: a table must be there, by the names of the fields")
    return found


def _tables(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ConfigurationError(f"{key}: write each as [[{key}]]")
    return found


def _text(table: dict[str, Any], key: str, place: str = "") -> str:
    found = table.get(key)
    if not isinstance(found, str) or not found:
        raise ConfigurationError(f"{place}{key}: a text must be there")
    return found


def _refuse_others(table: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigurationError(f"{place}{key}: no such key; use {', '.join(known)}")
