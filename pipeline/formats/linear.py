"""Whether a pattern of a user's takes time in proportion to the line, whatever the line is.

The engine goes back where a loop may have ended in more than one place. So no loop may stand inside another,
and none may take what can follow it: `[^,]*,` is well, `.*,` is not. A few bounded choices are let pass.
"""

import re

# The tree that the engine itself works with: no public module gives it since sre_parse went out of use.
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from pipeline.errors import ConfigurationError

#: Characters are told apart up to 127; one number stands for all others, and one for the end of the line.
OTHERS, END = 128, 129
ALL = frozenset(range(OTHERS + 1))
#: Most ways to match one line that a pattern may leave open.
MOST_WAYS = 64
#: A loop of so many rounds at most, always as many, is looked at as if it were written out.
MOST_COPIES = 16
LOOPS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
Characters = frozenset[int]
NESTED = "a loop inside a loop, such as (a+)* or (a?,)+: write one, as [a,]+"


def require_linear(pattern: str) -> None:
    """Check that a regular expression is one, and that its time grows with the line and no faster.

    Raises:
        ConfigurationError: says which part is at fault, and what to write instead.
    """
    try:
        tree = _parser.parse(pattern)
    except re.error as error:
        raise ConfigurationError(f"no regular expression: {error}") from None
    except RecursionError:
        raise ConfigurationError("nested too deeply") from None
    if tree.state.flags & (re.IGNORECASE | re.LOCALE | re.MULTILINE | re.VERBOSE | re.DOTALL):
        raise ConfigurationError("flags such as (?i) are not supported: write [Aa] for either case")
    _Walk().sequence(list(tree), frozenset({END}))


def require_bounded(pattern: str) -> None:
    """Check that a pattern that is searched for anywhere in a text takes time in proportion to the text.

    Beside `require_linear`, no loop may be without a bound: from each place it could run to the text's end.

    Raises:
        ConfigurationError: says which part is at fault, and what to write instead.
    """
    require_linear(pattern)
    if _is_unbounded(list(_parser.parse(pattern))):
        raise ConfigurationError("a loop without a bound, such as + or *: write one, as {1,100}")


def _is_unbounded(items: list[Any]) -> bool:
    for kind, content in items:
        parts = [list(content[2])] if kind in LOOPS else _parts(kind, content)
        if (kind in LOOPS and content[1] is sre.MAXREPEAT) or any(map(_is_unbounded, parts)):
            return True
    return False


class _Walk:
    """A walk over the tree from its end to its beginning, with the characters that may come next."""

    def __init__(self) -> None:
        self.ways = 1

    def sequence(self, items: list[Any], follow: Characters) -> Characters:
        """Return what a sequence may begin with, where `follow` may come behind it."""
        for kind, content in reversed(items):
            follow = self._item(kind, content, follow)
        return follow

    def _item(self, kind: Any, content: Any, follow: Characters) -> Characters:
        if kind in LOOPS:
            low, high, body = content
            return self._loop(low, high, list(body), follow)
        if kind is sre.BRANCH:
            return self._branch([self.sequence(list(each), follow) for each in content[1]])
        if kind in {sre.SUBPATTERN, sre.ATOMIC_GROUP}:
            return self.sequence(_parts(kind, content)[0], follow)
        if kind in {sre.ASSERT, sre.ASSERT_NOT} and _varies(list(content[1])):
            raise ConfigurationError("a loop inside (?=…) or (?!…): look ahead at fixed text only")
        if kind in {sre.ASSERT, sre.ASSERT_NOT, sre.AT}:
            return follow
        return _characters(kind, content)

    def _branch(self, firsts: list[Characters]) -> Characters:
        if sum(map(len, firsts)) > len(frozenset().union(*firsts)):
            self._open(len(firsts))
        return frozenset().union(*firsts)

    def _loop(self, low: int, high: Any, items: list[Any], follow: Characters) -> Characters:
        unbounded = high is sre.MAXREPEAT
        if not unbounded and high == 1:
            first = self.sequence(items, follow)
            if first & follow and not low:
                self._open(2)
            return first if low else first | follow
        if low == high and low <= MOST_COPIES:
            return self.sequence(items * low, follow)
        if _varies(items):
            raise ConfigurationError(NESTED)
        first, ways = self.sequence(items, frozenset()), self.ways
        self.sequence(items, first | follow)
        if self.ways > ways:
            raise ConfigurationError(NESTED)
        if first & follow and low != high:
            if unbounded:
                raise ConfigurationError(
                    f"a loop can also take what follows it ({_shown(first & follow)}): let it end before "
                    f"that, as [^,]* ends before a comma, or put {{rest}} at the end"
                )
            self._open(int(high) - low + 1)
        return first if low else first | follow

    def _open(self, ways: int) -> None:
        self.ways *= ways
        if self.ways > MOST_WAYS:
            raise ConfigurationError(
                f"it can match a line in more than {MOST_WAYS} ways: let alternatives begin differently, and "
                f"optional parts and bounded loops with what cannot follow them"
            )


def _parts(kind: Any, content: Any) -> list[list[Any]]:
    """Return the sequences that stand inside a part of a pattern."""
    if kind is sre.SUBPATTERN:
        return [list(content[3])]
    if kind is sre.BRANCH:
        return [list(each) for each in content[1]]
    return [list(content)] if kind is sre.ATOMIC_GROUP else []


def _varies(items: list[Any]) -> bool:
    """Return whether a part of a pattern has a loop or an optional part of its own."""
    for kind, content in items:
        if kind in LOOPS and (content[0] != content[1] or _varies(list(content[2]))):
            return True
        if any(map(_varies, _parts(kind, content))):
            return True
    return False


def _characters(kind: Any, content: Any) -> Characters:
    """Return what a part of one character may be."""
    if kind is sre.IN:
        negated = content[0][0] is sre.NEGATE
        found: Characters = frozenset().union(*(_characters(*each) for each in content[negated:]))
        # Of the others, which one number stands for, a set may hold some and its opposite too.
        return ALL - (found - {OTHERS}) if negated else found
    if kind is sre.RANGE:
        return frozenset(min(each, OTHERS) for each in range(content[0], min(content[1], OTHERS) + 1))
    if kind is sre.CATEGORY:
        category = re.compile(CATEGORIES[content], re.ASCII)
        return frozenset(each for each in ALL if category.match(chr(each)))
    if kind is sre.LITERAL:
        return frozenset({min(content, OTHERS)})
    if kind not in {sre.ANY, sre.NOT_LITERAL}:
        raise ConfigurationError("back references are not supported: name each part by itself")
    return ALL if kind is sre.ANY else ALL - {content}


def _shown(characters: Characters) -> str:
    first = min(characters)
    return repr(chr(first)) if first < OTHERS else "a character beyond ASCII"
