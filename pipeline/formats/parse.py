"""From a block of lines to columns of encoded values, without a step of bytecode for each line."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, compress, count, repeat
from operator import is_, not_
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pipeline.errors import RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, Format
from pipeline.formats.memo import Encode, Memo
from pipeline.formats.privacy import adopted

if TYPE_CHECKING:
    from pipeline.formats.dictionary import Dictionary

T = TypeVar("T")
#: Bytes of a block that are worked on at once, so that what is made of them stays in the processor's cache: a
#: stage that parsed 4 MiB at once took 4.1 s a million lines, 3.2 s in pieces (docs/decisions.md).
PIECE_BYTES = 64 << 10
#: The captures of all lines in a row, as `split` gives them: for each line an empty text, its fields, and the
#: whole line where they did not fit; what did not match is None.
Captures = list[bytes | None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that does not parse.

    Attributes:
        start: byte offset of the line in its block.
        line: its bytes without the newline.
        reason: for people.
        position: byte in the line where parsing stopped, where that is known.
    """

    start: int
    line: bytes
    reason: str
    position: int | None


@dataclass(frozen=True, slots=True)
class ParsedBlock(Generic[T]):
    """The lines of a block, by column and in the order of the file.

    Attributes:
        starts: byte offset in the block of each accepted line.
        groups: for each group of the format, its encoded values, one for each accepted line.
        rejected: the other lines.
    """

    starts: list[int]
    groups: list[list[T]]
    rejected: list[Rejected]

    @property
    def record_count(self) -> int:
        """Accepted lines of the block."""
        return len(self.starts)

    @property
    def first(self) -> list[T]:
        """The encoded values of the first accepted line, group by group; there must be one."""
        return [values[0] for values in self.groups]

    @property
    def dictionaries(self) -> Sequence["Dictionary"]:
        """Nothing: the values stand by themselves."""
        return ()

    @property
    def codes(self) -> None:
        """None, as there are no dictionaries."""

    def rows(self, head: bytes, origin: int) -> None:
        """Return nothing: the caller joins the values."""

    @property
    def line_count(self) -> int:
        """Lines of the block, accepted and rejected; a last one without its newline counts."""
        return len(self.starts) + len(self.rejected)


def cut(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the start in the block, and the bytes, of pieces of whole lines and some PIECE_BYTES."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start + PIECE_BYTES) + 1 or len(block)
        yield start, block[start:end]
        start = end


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the cycle collector; inside another pause it changes nothing."""
    # A block makes thousands of tuples and no cycle; looking for cycles took a tenth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class BlockParser(Generic[T]):
    """Parses blocks of one format; it keeps what it has converted, so use one for many blocks, in one thread.

    Lines go through one `split` of the block by the pattern of a line, which makes no tuple of each, so a
    column is a slice of what it returns; each column goes through its memo. What does not fit the quick
    reading of the pattern goes through the exact one, line by line, through the same memos.
    """

    def __init__(self, format_: Format, encode: Encode[T]) -> None:
        self.format = format_
        self._quick = format_.block_pattern("quick")
        self._strict = format_.block_pattern("strict")
        self._memos: list[Memo[T]] = [Memo(group, encode) for group in adopted(format_).groups]
        places = {name: place for place, name in enumerate(format_.captures, start=1)}
        self._places = [tuple(places[name] for name in group.sources) for group in format_.groups]
        #: From one line to the next in the captures: the empty text, the fields, the odd line.
        self._step = len(places) + 2

    def parse(self, block: bytes, start: int = 0, at: datetime | None = None) -> ParsedBlock[T]:  # noqa: ARG002 - for formats of lines
        """Return the lines of a block, whatever bytes it holds."""
        with collector_paused():
            return self._parse(block, 0)

    def pieces(
        self,
        block: bytes,
        start: int = 0,  # noqa: ARG002 - as `parse`
        at: datetime | None = None,  # noqa: ARG002 - as `parse`
    ) -> Iterator[ParsedBlock[T]]:
        """Yield the lines of a block piece by piece, with their places in the block."""
        for origin, piece in cut(block):
            with collector_paused():
                parsed = self._parse(piece, origin)
            yield parsed

    def _parse(self, block: bytes, origin: int) -> ParsedBlock[T]:
        lines = block.split(b"\n")
        if not lines[-1]:
            del lines[-1]
        lengths = list(map(len, lines))
        starts = list(accumulate(map((1).__add__, lengths), initial=origin))
        del starts[-1]
        found = self._split(block, len(lines))
        fits = [True] * len(lines)
        odd = found[self._step - 1 :: self._step]
        if any(odd):
            fits = list(map(is_, odd, repeat(None)))
        if max(lengths, default=0) > LONGEST_LINE_BYTES:
            fits = [fit and length <= LONGEST_LINE_BYTES for fit, length in zip(fits, lengths, strict=True)]
        columns = self._columns(found, fits)
        if any(memo.refused for memo in self._memos):
            columns = self._without_refused(columns, fits)
        quick = ParsedBlock(starts, cast("list[list[T]]", columns), [])
        return quick if all(fits) else self._with_odd(quick, lines, fits)

    def _split(self, block: bytes, line_count: int) -> Captures:
        if block and not block.endswith(b"\n"):
            block += b"\n"
        found: Captures = self._quick.split(block)
        if len(found) != line_count * self._step + 1:  # one of them ran across a newline
            found = self._strict.split(block)
        assert len(found) == line_count * self._step + 1, "there is one match for each line"
        return found

    def _columns(self, found: Captures, fits: list[bool]) -> list[list[T | None]]:
        columns = []
        fitting = sum(fits)
        for places, memo in zip(self._places, self._memos, strict=True):
            captures = [found[place :: self._step] for place in places]
            fields: Iterable[Any] = captures[0] if len(captures) == 1 else zip(*captures, strict=True)
            columns.append(memo.look_up(fields if fitting == len(fits) else compress(fields, fits), fitting))
        return columns

    def _without_refused(self, columns: list[list[T | None]], fits: list[bool]) -> list[list[T | None]]:
        # Drops each line of which a field did not convert, and marks it in `fits` for the exact path.
        refused = {row for column in columns for row, value in enumerate(column) if value is None}
        for row, index in enumerate(list(compress(count(), fits))):
            fits[index] = row not in refused
        for memo in self._memos:
            memo.refused.clear()
        kept = [row not in refused for row in range(len(columns[0]))]
        return [list(compress(column, kept)) for column in columns]

    def _with_odd(self, quick: ParsedBlock[T], lines: list[bytes], fits: list[bool]) -> ParsedBlock[T]:
        rows: list[tuple[int, list[T]]] = []
        rejected: list[Rejected] = []
        for index in compress(count(), map(not_, fits)):
            try:
                rows.append((index - len(rejected), self.parse_line(lines[index])))
                fits[index] = True
            except RejectedLine as error:
                rejected.append(Rejected(quick.starts[index], lines[index], error.reason, error.position))
        positions = [position for position, _ in rows]
        added = zip(*(values for _, values in rows), strict=True) if rows else [()] * len(quick.groups)
        groups = [
            _weave(column, positions, values) for column, values in zip(quick.groups, added, strict=True)
        ]
        return ParsedBlock(list(compress(quick.starts, fits)), groups, rejected)

    def parse_line(self, line: bytes) -> list[T]:
        """Return the encoded values of one line without its end, read exactly, group by group.

        Raises:
            RejectedLine: the format does not take it.
        """
        match = self.format.match(line)
        if match is None:
            raise self.format.explain(line)
        values: list[T] = []
        for group, memo in zip(self.format.groups, self._memos, strict=True):
            try:
                values.append(memo.convert(match.group(*group.sources)))
            except RejectedLine as error:
                raise RejectedLine(error.reason, match.start(group.sources[0])) from None
        return values


def _weave(column: list[T], positions: list[int], values: Iterable[T]) -> list[T]:
    """Return the column with each of the values at its position in the result; positions rise."""
    woven: list[T] = []
    for number, (position, value) in enumerate(zip(positions, values, strict=True)):
        woven += column[len(woven) - number : position - number]
        woven.append(value)
    return woven + column[len(woven) - len(positions) :]
