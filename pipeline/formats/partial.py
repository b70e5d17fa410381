"""A line of which a part cannot be read: the rest of it as a record that names what failed."""

import re
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pipeline.errors import RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, PIECE_END, Format, Group, expand
from pipeline.formats.memo import Encode

T = TypeVar("T")
#: The column that names the failed groups, separated by commas.
FAILED_COLUMNS = ("failed_fields",)
#: A piece of a pattern that a line can end in the middle of: a blank, perhaps a quote, a group of its own.
ENDING = re.compile(r'([ \t]"?)\(\?P<\w+>([^()]*)\)"?.*')


class PartialParser(Generic[T]):
    """Reads lines that the format's parser rejects."""

    def __init__(self, format_: Format, encode: Encode[T]) -> None:
        self.format = format_
        #: Columns of what `parse` returns, in order.
        self.columns = (*format_.columns, *FAILED_COLUMNS)
        self._encode = encode

    def parse(self, line: bytes) -> list[T] | None:
        """Return the encoded values of each group, NULL for a failed one, and last the failed groups' names.

        None where the line stays rejected: the pattern does not fit, not even up to the essential group, or
        the time does not convert.
        """
        if "failed_fields" in self.format.columns:  # a format that sees to it itself
            return None
        match = self.format.match(line) or _cut(self.format, line)
        if match is None:
            return None
        ends = set() if match.re is self.format.exact else _at_the_end(match) - {self.format.essential}
        values: list[T] = []
        failed: list[str] = []
        for group in self.format.groups:
            value = self._converted(group, match, ends)
            if value is None:
                if "timestamp" in group.columns:
                    return None
                failed.append(group.name)
                value = self._encode(group.columns, (None,) * len(group.columns))
            values.append(value)
        return [*values, self._encode(FAILED_COLUMNS, (",".join(failed),))]

    def _converted(self, group: Group, match: re.Match[bytes], ends: set[str]) -> T | None:
        if not ends.isdisjoint(group.sources):
            return None
        fields: Any = match.group(*group.sources)
        if fields is None or (isinstance(fields, tuple) and None in fields):
            return None
        try:
            return self._encode(group.columns, group.convert(fields))
        except RejectedLine:
            return None


def _cut(format_: Format, line: bytes) -> re.Match[bytes] | None:
    if not format_.essential or len(line) > LONGEST_LINE_BYTES:
        return None
    return _cut_pattern(format_.pieces, format_.essential).fullmatch(line)


def _at_the_end(match: re.Match[bytes]) -> set[str]:
    """Return the groups that reach the end of the line: whether there was more of them is not known."""
    end = len(match.string.removesuffix(b"\r"))
    return {name for name in match.re.groupindex if match.end(name) == end}


@lru_cache(maxsize=256)
def _cut_pattern(pieces: tuple[str, ...], essential: str) -> re.Pattern[bytes]:
    """Return the pattern of lines that end after the essential group, within a piece or between two.

    Where the line ends, nothing is in doubt: a piece is whole, up to a space, or it is the last one.
    """
    first = next(number for number, piece in enumerate(pieces) if f"(?P<{essential}>" in piece) + 1
    nested = ""
    for piece in reversed(pieces[first:]):
        nested = f"(?:{piece}{PIECE_END}{nested}|{_begun(piece)})"
    return re.compile(expand("".join(pieces[:first]) + nested + r"\r?", "exact").encode())


def _begun(piece: str) -> str:
    """Return the pattern of a piece that the line ends in, or before; without a named group."""
    ending = ENDING.fullmatch(piece)
    if ending is None:
        return "[ \\t]?"
    before, field = ending.groups()
    return f"(?:{before}(?:{field})|[ \\t]?)"
