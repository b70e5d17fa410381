"""The rules of the detections: those that come with Sluice (rules.toml), and a file that adjusts them."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.detect.sighting import SEVERITIES
from pipeline.errors import ConfigurationError
from pipeline.formats.linear import require_bounded

#: The rules as they come, each explained.
DEFAULTS = Path(__file__).with_name("rules.toml")
#: What a pattern may look at.
FIELDS = ("url", "agent", "referer", "user")
SECTIONS = ("patterns", "bursts", "changes")
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
#: Bounds of the numbers of a rule.
MOST = 1_000_000
#: Longest time that a burst is counted over, in minutes: what is counted is kept.
MOST_MINUTES = 120
STATUSES = range(100, 600)


@dataclass(frozen=True, slots=True)
class Rule:
    """What every rule has: its name, how bad it is, and what it means, for people."""

    name: str
    severity: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Pattern(Rule):
    """Text that no honest request has: one of `match` in one of `fields`, with one of `statuses` or any.

    A text that has none of `needs`, where there are some, is not searched.
    """

    fields: tuple[str, ...]
    needs: tuple[str, ...]
    match: tuple[re.Pattern[str], ...]
    statuses: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Burst(Rule):
    """At least so many within so many minutes; `paths` tell which requests count."""

    least: int
    minutes: int
    paths: tuple[re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class Change(Rule):
    """How far what is counted must leave what is usual; see rules.toml."""

    least: int
    factor: float
    deviations: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that are on, by name."""

    patterns: dict[str, Pattern]
    bursts: dict[str, Burst]
    changes: dict[str, Change]


def load(path: Path | None = None) -> Rules:
    """Return the rules, adjusted by a file; `enabled = false` turns one off.

    Raises:
        ConfigurationError: names the file, the rule and key, and what to change.
    """
    tables = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
    if path is not None:
        try:
            _adjust(tables, _read(path))
            return _made(tables)
        except ConfigurationError as error:
            raise ConfigurationError(f"SLUICE_RULES: {path}: {error}") from None
    return _made(tables)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(str(error.strerror)) from error
    except ValueError as error:  # TOML's and UTF-8's
        raise ConfigurationError(f"no TOML: {error}") from error


def _adjust(tables: dict[str, Any], given: dict[str, Any]) -> None:
    for section, rules in given.items():
        if section not in SECTIONS or not isinstance(rules, dict):
            raise ConfigurationError(f"{section}: use tables [{'.…], ['.join(SECTIONS)}.…]")
        for name, keys in rules.items():
            _adjust_rule(tables[section], section, name, keys)


def _adjust_rule(known: dict[str, Any], section: str, name: str, keys: Any) -> None:
    place = f"{section}.{name}"
    if not isinstance(keys, dict):
        raise ConfigurationError(f"{place}: use a table [{place}]")
    if name not in known:
        if section != "patterns":
            raise ConfigurationError(f"{place}: there is no such rule; use one of {', '.join(known)}")
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"{place}: name it with lower-case letters, digits and -, a letter first"
            )
        known[name] = {"severity": "medium", "meaning": name, "fields": ["url"], "match": []}
    may = {*known[name], "enabled", *(["statuses", "needs"] if section == "patterns" else [])}
    for key in keys:
        if key not in may:
            raise ConfigurationError(f"{place}.{key}: there is no such key; use {', '.join(sorted(may))}")
    known[name] |= keys


def _made(tables: dict[str, Any]) -> Rules:
    makers = {"patterns": _pattern, "bursts": _burst, "changes": _change}
    made: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for section, make in makers.items():
        for name, table in tables[section].items():
            place = f"{section}.{name}"
            enabled = table.get("enabled", True)
            if not isinstance(enabled, bool):
                raise ConfigurationError(f"{place}.enabled: use true or false")
            rule = make(place, name, table)
            if enabled:
                made[section][name] = rule
    return Rules(**made)


def _pattern(place: str, name: str, table: dict[str, Any]) -> Pattern:
    fields = _texts(place, table, "fields")
    if not fields or not set(fields) <= set(FIELDS):
        raise ConfigurationError(f"{place}.fields: use some of {', '.join(FIELDS)}")
    match = _compiled(place, table, "match")
    if not match:
        raise ConfigurationError(f"{place}.match: give at least one pattern")
    statuses = table.get("statuses")
    if statuses is not None and (
        not isinstance(statuses, list) or not all(type(each) is int and each in STATUSES for each in statuses)
    ):
        raise ConfigurationError(f"{place}.statuses: use a list of numbers from 100 to 599")
    needs = _texts(place, table, "needs")
    return Pattern(
        *_common(place, name, table), fields, needs, match, frozenset(statuses) if statuses else None
    )


def _burst(place: str, name: str, table: dict[str, Any]) -> Burst:
    minutes = int(_number(place, table, "minutes", 1, MOST_MINUTES))
    least = int(_number(place, table, "least", 2, MOST))
    return Burst(*_common(place, name, table), least, minutes, _compiled(place, table, "paths"))


def _change(place: str, name: str, table: dict[str, Any]) -> Change:
    least = int(_number(place, table, "least", 1, MOST)) if "least" in table else 1
    factor = _number(place, table, "factor", 0.01, MOST) if "factor" in table else 1.0
    deviations = _number(place, table, "deviations", 1, MOST) if "deviations" in table else 1.0
    return Change(*_common(place, name, table), least, factor, deviations)


def _common(place: str, name: str, table: dict[str, Any]) -> tuple[str, str, str]:
    severity, meaning = table["severity"], table["meaning"]
    if severity not in SEVERITIES:
        raise ConfigurationError(f"{place}.severity: use one of {', '.join(SEVERITIES)}")
    if not isinstance(meaning, str):
        raise ConfigurationError(f"{place}.meaning: use a text")
    return name, severity, meaning


def _number(place: str, table: dict[str, Any], key: str, low: float, high: float) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigurationError(f"{place}.{key}: use a number from {low:g} to {high:g}")
    return float(value)


def _texts(place: str, table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigurationError(f"{place}.{key}: use a list of texts")
    return tuple(value)


def _compiled(place: str, table: dict[str, Any], key: str) -> tuple[re.Pattern[str], ...]:
    found = []
    for text in _texts(place, table, key):
        if text != text.lower() and not re.search(r"\\[A-Z]", text):
            raise ConfigurationError(f"{place}.{key}: {text!r}: write it in lower case, as the text is read")
        try:
            require_bounded(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}.{key}: {text!r}: {error}") from None
        found.append(re.compile(text, re.ASCII))
    return tuple(found)
