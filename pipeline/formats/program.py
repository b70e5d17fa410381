"""From the pattern of a format to a program for the scanner (pipeline/scan.c): steps that never go back.

The engine of regular expressions goes back where a loop may have ended in more than one place. A pattern
has a program only where that cannot be: what follows a loop is no byte of it, or a literal whose first bytes
are and whose next one is not; and alternatives begin differently. Other patterns are left to the engine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

# The tree that the engine itself works with: no public module gives it since sre_parse went out of use.
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from pipeline.formats.base import LONGEST_LINE_BYTES, Format, expand

#: A part of the tree: its kind, and what it is made of.
_Item = tuple[Any, Any]
_Set = frozenset[int]
_EVERY: _Set = frozenset(range(256))
#: A part that always comes as often is written out, up to so many times.
_MOST_COPIES = 16
#: So many captures or groups, and the scanner has no room for them.
_TOO_MANY_CAPTURES = 64
#: So many steps, and the engine may have the pattern: copies of copies would fill the memory.
_MOST_STEPS = 4096
#: The bound of a loop without one: no line is as long.
_UNBOUNDED = (1 << 31) - 1
_CATEGORIES = {sre.CATEGORY_DIGIT: rb"\d", sre.CATEGORY_SPACE: rb"\s", sre.CATEGORY_WORD: rb"\w"}
#: `(?<!\r)`, as it stands behind a field that takes the rest of a line.
_NOT_AFTER_CR: _Item = (sre.ASSERT_NOT, (-1, ((sre.LITERAL, ord("\r")),)))


class Op(IntEnum):
    """What a step does; the numbers are those of scan.c."""

    BYTE = 0
    ONE = 1
    LOOP = 2
    UNTIL = 3
    NOT_BEHIND = 4
    CHOICE = 5
    JUMP = 6
    OPEN = 7
    CLOSE = 8
    END = 9


@dataclass(frozen=True, slots=True)
class Program:
    """What the scanner does with a line.

    Attributes:
        steps: op, set, least, most and back of each, as `struct step` of scan.c has them.
        sets: 256 bytes for each set, 1 for each byte that it holds.
        captures: for each group of the format the numbers of its captures.
    """

    steps: tuple[tuple[int, int, int, int, int], ...]
    sets: bytes
    captures: tuple[tuple[int, ...], ...]


class _Unfit(Exception):  # noqa: N818 - no error: the engine takes the pattern
    """The pattern cannot be read without going back, or not by these steps."""


def program_of(format_: Format) -> Program | None:
    """Return the program of a format, None where its pattern needs the regular expression engine.

    It takes the lines that the format's strict reading takes, with the same captures, but none that is longer
    than LONGEST_LINE_BYTES.
    """
    pattern = expand(format_.pattern, "strict").encode()
    names = re.compile(pattern).groupindex
    if max(len(names), len(format_.groups)) >= _TOO_MANY_CAPTURES:
        return None
    writer = _Writer()
    try:
        tree = _parser.parse(pattern)
        if tree.state.flags:
            return None
        writer.sequence(list(tree), [])
    except _Unfit:
        return None
    captures = tuple(tuple(names[source] for source in group.sources) for group in format_.groups)
    return Program((*writer.steps, (Op.END, 0, 0, 0, 0)), b"".join(writer.sets), captures)


class _Writer:
    """Writes steps, from the beginning of the pattern to its end."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, int, int, int]] = []
        self.sets: dict[bytes, int] = {}
        #: Whether what is written now stands in a capture, in an alternative or in a loop.
        self._is_inside = False

    def sequence(self, items: Sequence[_Item], after: Sequence[_Item]) -> None:
        """Write the steps of items behind which others come."""
        for place, (kind, content) in enumerate(items):
            self._item(kind, content, [*items[place + 1 :], *after])

    def _item(self, kind: Any, content: Any, after: list[_Item]) -> None:
        if kind is sre.LITERAL:
            self._step(Op.BYTE, content)
        elif kind in {sre.IN, sre.NOT_LITERAL}:
            self._step(Op.ONE, self._number(_bytes_of(kind, content)))
        elif kind is sre.MAX_REPEAT:
            least, most, items = content
            self._loop(least, most, list(items), after)
        elif kind is sre.SUBPATTERN:
            number, added, dropped, items = content
            if added or dropped:  # flags such as (?i:…)
                raise _Unfit
            self._group(number, list(items), after)
        elif kind is sre.BRANCH:
            self._branch([list(each) for each in content[1]], after)
        elif kind is sre.ASSERT_NOT and content[0] < 0 and [item[0] for item in content[1]] == [sre.LITERAL]:
            self._step(Op.NOT_BEHIND, content[1][0][1])
        else:
            raise _Unfit

    def _group(self, number: int | None, items: list[_Item], after: list[_Item]) -> None:
        if number is None:
            self.sequence(items, after)
            return
        # The scanner reads the place of every capture of a line that fits: none may be left out.
        if self._is_inside:
            raise _Unfit
        self._step(Op.OPEN, number)
        self._inside(items, after)
        self._step(Op.CLOSE, number)

    def _inside(self, items: Sequence[_Item], after: Sequence[_Item]) -> None:
        """Write the steps of items among which no capture may be."""
        was_inside, self._is_inside = self._is_inside, True
        self.sequence(items, after)
        self._is_inside = was_inside

    def _branch(self, alternatives: list[list[_Item]], after: list[_Item]) -> None:
        firsts = [_first(items) for items in alternatives]
        if sum(map(len, firsts)) > len(frozenset().union(*firsts)):
            raise _Unfit
        jumps = []
        for items, first in zip(alternatives, firsts, strict=True):
            choice = self._step(Op.CHOICE, self._number(first))
            self._inside(items, after)
            jumps.append(self._step(Op.JUMP, 0))
            self._aim(choice)
        # None of them: no byte is in the empty set.
        self._step(Op.ONE, self._number(frozenset()))
        for jump in jumps:
            self._aim(jump)

    def _loop(self, least: int, most: Any, items: list[_Item], after: list[_Item]) -> None:
        if least > LONGEST_LINE_BYTES:
            raise _Unfit
        if 0 < least == most <= _MOST_COPIES:
            self._inside(items * least, after)
            return
        if len(items) != 1 or items[0][0] not in {sre.IN, sre.LITERAL, sre.NOT_LITERAL}:
            raise _Unfit
        taken = _bytes_of(*items[0])
        back = _belonging(taken, after)
        bound = min(int(most), _UNBOUNDED)
        # No line holds a newline.
        ends = _EVERY - taken - {ord("\n")}
        if len(ends) == 1:
            self._step(Op.UNTIL, min(ends), least, bound, back)
        else:
            self._step(Op.LOOP, self._number(taken), least, bound, back)

    def _step(self, op: Op, set_: int, least: int = 0, most: int = 0, back: int = 0) -> int:
        if len(self.steps) >= _MOST_STEPS:
            raise _Unfit
        self.steps.append((op, set_, least, most, back))
        return len(self.steps) - 1

    def _aim(self, place: int) -> None:
        """Let a step that goes elsewhere go to the next one that is written."""
        op, set_, *_ = self.steps[place]
        self.steps[place] = (op, set_, len(self.steps), 0, 0)

    def _number(self, set_: _Set) -> int:
        table = bytes(number in set_ for number in range(256))
        return self.sets.setdefault(table, len(self.sets))


def _belonging(taken: _Set, after: list[_Item]) -> int:
    """Return how many bytes that a loop takes belong to the literal behind it.

    Raises:
        _Unfit: where the loop ends is in doubt.
    """
    upcoming = _flat(after)
    back = 0
    while upcoming and upcoming[0][0] is sre.LITERAL and upcoming[0][1] in taken:
        upcoming.pop(0)
        back += 1
    is_guarded = upcoming[:1] == [_NOT_AFTER_CR]
    upcoming = [item for item in upcoming if item[0] is not sre.ASSERT_NOT]
    if upcoming:
        # A literal that the loop takes in part is found there only if its next byte is what ends the loop.
        in_doubt = bool(taken & _first(upcoming)) or (back > 0 and upcoming[0][0] is not sre.LITERAL)
    else:
        # The end of the line, before which one CR may stand that belongs to no field.
        in_doubt = back > 0 or (ord("\r") in taken and not is_guarded)
    if in_doubt:
        raise _Unfit
    return back


def _flat(items: Sequence[_Item]) -> list[_Item]:
    """Return items up to the first that is neither a literal nor an assertion, with their groups opened."""
    flat: list[_Item] = []
    left = list(items)
    while left:
        kind, content = left.pop(0)
        if kind is sre.SUBPATTERN:
            left = [*content[3], *left]
        elif kind is sre.ASSERT_NOT:
            flat.append((kind, (content[0], tuple(content[1]))))
        else:
            flat.append((kind, content))
            if kind is not sre.LITERAL:
                break
    return flat


def _first(items: Sequence[_Item]) -> _Set:
    """Return the bytes that items may begin with.

    Raises:
        _Unfit: they may be nothing, or begin with what is not looked into.
    """
    flat = [item for item in _flat(items) if item[0] is not sre.ASSERT_NOT]
    if not flat:
        raise _Unfit
    kind, content = flat[0]
    if kind is sre.MAX_REPEAT and content[0]:
        return _first(list(content[2]))
    if kind is sre.BRANCH:
        return frozenset().union(*(_first(list(each)) for each in content[1]))
    if kind not in {sre.IN, sre.LITERAL, sre.NOT_LITERAL}:
        raise _Unfit
    return _bytes_of(kind, content)


def _bytes_of(kind: Any, content: Any) -> _Set:
    """Return the bytes that a part of one byte takes."""
    if kind is sre.LITERAL:
        return frozenset({content})
    if kind is sre.NOT_LITERAL:
        return _EVERY - {content}
    is_negated = content[0][0] is sre.NEGATE
    found: _Set = frozenset().union(*(_member(*each) for each in content[is_negated:]))
    return _EVERY - found if is_negated else found


def _member(kind: Any, content: Any) -> _Set:
    if kind is sre.RANGE:
        return frozenset(range(content[0], content[1] + 1))
    if kind is sre.LITERAL:
        return frozenset({content})
    if kind is not sre.CATEGORY or content not in _CATEGORIES:
        raise _Unfit
    category = re.compile(_CATEGORIES[content])
    return frozenset(each for each in _EVERY if category.match(bytes([each])))
