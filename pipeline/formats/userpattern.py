"""Patterns of users: a regular expression with named groups and placeholders → a reader of lines."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.errors import ConfigurationError, RejectedLine
from pipeline.formats import naming
from pipeline.formats.fields import decode
from pipeline.formats.kinds import TIME_COLUMNS
from pipeline.formats.line import Read
from pipeline.formats.linear import require_linear
from pipeline.formats.naming import Use, use, usual

ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?"
COMMON = r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
BSD = r"[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d"
#: What a placeholder stands for, as `{ip}` or, with a name for its group, `{ip:client}`; and its type.
PLACEHOLDERS: dict[str, tuple[str, str]] = {
    "word": (r"[^ ]+", "text"),
    "number": (r"[+-]?\d+(?:\.\d+)?", "double"),
    "integer": (r"[+-]?\d+", "bigint"),
    "ip": (r"[0-9A-Fa-f:.]+", "ip"),
    "time": (ISO, "time"),
    "commontime": (COMMON, "time"),
    "syslogtime": (BSD, "time"),
    "level": (r"[A-Za-z]+", "level"),
    # Between quotes: up to the first one that no backslash escapes.
    "quoted": (r'[^"\\]*(?:\\.[^"\\]*)*', "text"),
    "bracketed": (r"[^\]]*", "text"),
    "rest": (r".*", "text"),
}
#: What stands for `quoted` where loops are checked: its own are unrolled, where they end is never in doubt.
CHECKED = {"quoted": r'[^"]*'}
PLACEHOLDER = re.compile(r"\{([a-z]+)(?::([A-Za-z_]\w*))?\}", re.ASCII)


def expand(pattern: str, *, checked: bool = False) -> str:
    """Return a pattern with what its placeholders stand for.

    Raises:
        ConfigurationError: there is no such placeholder.
    """

    def replaced(match: re.Match[str]) -> str:
        kind, group = match.groups()
        if kind not in PLACEHOLDERS:
            raise ConfigurationError(f"no placeholder {{{kind}}}; use one of {', '.join(PLACEHOLDERS)}")
        inner = CHECKED.get(kind, PLACEHOLDERS[kind][0]) if checked else PLACEHOLDERS[kind][0]
        return f"(?P<{group}>{inner})" if group else f"(?:{inner})"

    return PLACEHOLDER.sub(replaced, pattern)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a user's pattern, ready to match whole lines.

    Raises:
        ConfigurationError: it is none, or could take too long.
    """
    require_linear(expand(pattern, checked=True))
    return re.compile(expand(pattern), re.ASCII | re.DOTALL)


def default_uses(pattern: str) -> dict[str, Use]:
    """Return the use of each named group that no table tells of: by its usual name, or its placeholder."""
    kinds = {group: PLACEHOLDERS[kind][1] for kind, group in PLACEHOLDER.findall(pattern) if group}
    layouts = {group: "bsd" for kind, group in PLACEHOLDER.findall(pattern) if kind == "syslogtime"}
    found = {}
    for group in compiled(pattern).groupindex:
        by_name = usual(group)
        if group in layouts and by_name and by_name.columns == TIME_COLUMNS:
            found[group] = use("time", "timestamp", layout=layouts[group])
        else:
            found[group] = by_name or use(kinds.get(group, "text"), layout=layouts.get(group, ""))
    return found


def reader(pattern: str, uses: Mapping[str, Use]) -> Read:
    """Return what reads lines by a pattern; `uses` has each of its named groups."""
    whole = compiled(pattern)
    longest, names = _prefixes(pattern)

    def read(line: bytes, at: datetime) -> dict[str, Any]:
        text = decode(line)
        match = whole.fullmatch(text)
        if match is None:
            raise _explained(text, longest, names)
        fields = {name: value for name, value in match.groupdict().items() if value is not None}
        return naming.record(fields, uses, at, by_usual_names=False)

    return read


def _explained(text: str, longest: re.Pattern[str], names: list[str]) -> RejectedLine:
    match = longest.match(text)
    assert match is not None, "every part of the pattern of prefixes is optional"
    position = len(text[: match.end()].encode())
    matched = match.lastindex or 0
    expected = f'"{names[matched]}"' if matched < len(names) else "the end of the line"
    return RejectedLine(f"expected {expected} at byte {position}", position)


def _prefixes(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """Return the pattern with each piece optional, inside the one before, and the names of its groups."""
    nested = ""
    for piece in reversed(_pieces(expand(pattern))):
        nested = f"(?:{piece}{nested})?"
    longest = re.compile(nested, re.ASCII | re.DOTALL)
    names = [f"part {number + 1}" for number in range(longest.groups)]
    for name, number in longest.groupindex.items():
        names[number - 1] = name
    return longest, names


def _pieces(pattern: str) -> list[str]:
    """Return a pattern cut before each of its outer groups, whole where it has outer alternatives."""
    cuts, depth, in_class, position = [0], 0, False, 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif in_class:
            in_class = character != "]" or pattern[position - 1] == "["
        elif character == "[":
            in_class = True
        elif character == "(":
            cuts += [position] if depth == 0 else []
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "|" and depth == 0:
            return [pattern]
        position += 1
    return [pattern[start:end] for start, end in zip(cuts, [*cuts[1:], len(pattern)], strict=True)]
