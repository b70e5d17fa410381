"""From literal text and variables, as web servers write their log strings, to a format."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigurationError
from pipeline.formats.base import Convert, Format, Group
from pipeline.formats.fields import common_time, text
from pipeline.formats.quantities import Extract, extra_group, named
from pipeline.formats.samples import sample

#: `17/May/2015:10:05:03 +0000`.
LOCAL_TIME = r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
#: Characters that mean something in a pattern, in a set too.
SPECIAL = re.compile(r"[\\.^$*+?{}()\[\]|-]")
#: What closes a value that stands behind the character.
CLOSING = {'"': '"', "'": "'", "[": "]", "(": ")", "<": ">", "{": "}"}
#: Columns of what a line must have to be worth keeping when its end is missing.
ESSENTIAL = ("ip", "timestamp", "path", "status")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a log string.

    Attributes:
        label: as the server's configuration names it, for messages.
        key: its name in the pattern, and in `extra`.
        columns: what it fills where they are free; without any, or where one is taken, it goes to `extra`.
        convert: from its bytes to the values of the columns.
        body: its pattern where its form is known; "": whatever stands before the next literal.
        blanks: its value may hold blanks, so that a blank does not end it.
        first: the character that it begins with, which ends a variable right before it; "": any.
        extract: from its bytes to fields of `extra`, where that is not one number or text by its key.
    """

    label: str
    key: str
    columns: tuple[str, ...] = ()
    convert: Convert = text
    body: str = ""
    blanks: bool = False
    first: str = ""
    extract: Extract | None = None


def time_variable(label: str) -> Variable:
    """Return the variable of the time of NCSA's log."""
    return Variable(label, "time", ("timestamp", "utc_offset_minutes"), common_time, LOCAL_TIME)


Part = str | Variable


def compile_format(name: str, parts: Sequence[Part], description: str) -> Format:
    """Return the format of lines that are these parts one after the other.

    Raises:
        ConfigurationError: no time is among them, or where one value ends cannot be told.
    """
    joined = _joined(parts)
    variables = [part for part in joined if isinstance(part, Variable)]
    if not any("timestamp" in variable.columns for variable in variables):
        raise ConfigurationError(f"format {name}: no variable says the time, and a record needs one")
    keys = iter(_keys(variables))
    captures: list[tuple[str, Variable]] = []
    pattern, example = "", b""
    for place, part in enumerate(joined):
        if isinstance(part, str):
            pattern += _escaped(part)
            example += part.encode()
        else:
            captures.append((next(keys), part))
            body = _body(name, joined, place)
            pattern += f"(?P<{captures[-1][0]}>{body})"
            example += sample(body, part.columns, part.convert)
    groups = _groups(captures)
    return Format(name, 1, pattern, groups, description, example, _essential(captures, groups))


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with literals next to each other made one."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return joined


def _keys(variables: Sequence[Variable]) -> list[str]:
    keys: list[str] = []
    for variable in variables:
        key = re.sub(r"\W+", "_", variable.key, flags=re.ASCII).strip("_").lower() or "field"
        key = f"f_{key}" if key[0].isdigit() else key
        keys.append(f"{key}_{len(keys)}" if key in keys else key)
    return keys


def _escaped(literal: str) -> str:
    # Blanks stay bare, as re.escape does not leave them: they are where a pattern is taken apart.
    return SPECIAL.sub(r"\\\g<0>", literal)


def _up_to(end: str) -> str:
    """Return the pattern of what reaches to a character and holds no blank."""
    return r"[^ \n]*" if end == " " else f"[^{_escaped(end)} \\n]*"


def _body(name: str, parts: Sequence[Part], place: int) -> str:
    variable = parts[place]
    before = parts[place - 1] if place else ""
    after = parts[place + 1] if place + 1 < len(parts) else ""
    assert isinstance(variable, Variable), "literals have no body"
    if isinstance(after, Variable):
        if variable.body and not variable.blanks and not after.body:
            return f"(?:{variable.body})"
        if not after.first or variable.blanks:
            raise ConfigurationError(
                f"format {name}: {variable.label} and {after.label} stand next to each other, so that no one "
                f"can tell where the first one ends: put a blank or quotes between them"
            )
        return _up_to(after.first)
    if variable.key == "user" and _is_time(parts, place + 2) and after == " [":
        return "{user}"
    if variable.body:
        return f"(?:{variable.body})"
    return _delimited(name, variable, before[-1:] if isinstance(before, str) else "", after[:1])


def _is_time(parts: Sequence[Part], place: int) -> bool:
    following = parts[place] if place < len(parts) else ""
    return isinstance(following, Variable) and following.body == LOCAL_TIME


def _delimited(name: str, variable: Variable, before: str, after: str) -> str:
    """Return the pattern of a value between the character before it and the one after it."""
    if before == after == '"':
        return "{quoted}"
    if CLOSING.get(before) == after != "":
        return f"[^{_escaped(after)}\\n]*"
    if not after:
        return "{rest}" if variable.blanks else r"[^ \n]*(?<!\r)"
    if after in " \t" and variable.blanks:
        raise ConfigurationError(
            f"format {name}: {variable.label} may hold blanks, and a blank follows it, so that no one can "
            f"tell where it ends: put it in quotes"
        )
    return f"[^{_escaped(after)}\\n]*" if variable.blanks else _up_to(after)


def _groups(captures: Sequence[tuple[str, Variable]]) -> tuple[Group, ...]:
    """Return the groups in order; a variable that fills more columns has the first claim to them."""
    taken: set[str] = set()
    with_columns: set[str] = set()
    for key, variable in sorted(captures, key=lambda pair: -len(pair[1].columns)):
        if variable.columns and taken.isdisjoint(variable.columns):
            taken.update(variable.columns)
            with_columns.add(key)
    groups = [
        Group(key, variable.columns, variable.convert) for key, variable in captures if key in with_columns
    ]
    others = {key: variable.extract or named(key) for key, variable in captures if key not in with_columns}
    return (*groups, extra_group(**others)) if others else tuple(groups)


def _essential(captures: Sequence[tuple[str, Variable]], groups: Sequence[Group]) -> str:
    needed = {group.name for group in groups if not set(ESSENTIAL).isdisjoint(group.columns)}
    filled = {column for group in groups for column in group.columns}
    if not set(ESSENTIAL) <= filled:
        return ""
    return [key for key, _ in captures if key in needed][-1]
