"""Formats that are not one pattern: a reader of single lines, and the parser of their blocks."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pipeline.errors import RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, Format
from pipeline.formats.fields import decode
from pipeline.formats.memo import Encode
from pipeline.formats.parse import BlockParser, ParsedBlock, Rejected, collector_paused
from pipeline.formats.privacy import adopted_rules

if TYPE_CHECKING:
    from pipeline.formats.dictionary import Dictionary

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
#: From a line without its end, and the moment at which it was stored first, to values by column; raises
#: RejectedLine. The moment serves times without a year.
Read = Callable[[bytes, datetime], dict[str, Any]]
#: Encoded values that a parser keeps, and the longest of them, in characters: some MiB.
KEPT_VALUES, SHORT_CHARACTERS = 20_000, 100
#: Reason of a line that continues another one which is not in its batch.
CONTINUES_BEFORE = "continues a line before this batch"


class LogFormat(Protocol):
    """What every format is, be it one pattern or a reader of lines."""

    @property
    def name(self) -> str:
        """Identifies it in the database, with the version."""

    @property
    def version(self) -> int:
        """Rises with each change of what it makes of a line."""

    @property
    def pattern(self) -> str:
        """What a line looks like, for people; "" where no pattern says it."""

    @property
    def description(self) -> str:
        """What writes such lines, in a few words."""

    @property
    def example(self) -> bytes:
        """A line of this format, without its end."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it may fill, in the order of a parser's values."""

    def match(self, line: bytes, /) -> object:
        """Return something true where a line has this format."""

    def explain(self, line: bytes) -> RejectedLine:
        """Return why a line does not have this format, and where it stops to."""

    def is_header(self, line: bytes) -> bool:
        """Return whether a line belongs to the log and is no record by design."""


class Piece(Protocol[T_co]):
    """Lines of a block in the order of the file, by column: a ParsedBlock, or what says the same."""

    @property
    def starts(self) -> list[int]:
        """Byte offset in the block of each accepted line."""

    @property
    def groups(self) -> Sequence[Sequence[T_co]]:
        """For each group of the format its encoded values, one for each accepted line."""

    @property
    def rejected(self) -> list[Rejected]:
        """The other lines."""

    @property
    def record_count(self) -> int:
        """How many lines are accepted."""

    @property
    def first(self) -> Sequence[T_co]:
        """The encoded values of the first accepted line, group by group; there must be one."""

    @property
    def dictionaries(self) -> Sequence["Dictionary"]:
        """Those that the codes are of, one for each group; none where the values stand by themselves."""

    @property
    def codes(self) -> Any:
        """For each accepted line a code of each dictionary, an array of numpy; None without them."""

    def rows(self, head: bytes, origin: int) -> bytes | None:
        """Return a row for each accepted line: `head`, its offset in the source as eight bytes, its values.

        None where the values stand by themselves, and are to be joined by the caller.
        """


class PieceParser(Protocol[T_co]):
    """What turns blocks of one format into columns, piece by piece: what it makes stays in the cache."""

    @property
    def format(self) -> LogFormat:
        """The format, whose columns are those of the values."""

    def pieces(self, block: bytes, start: int = 0, at: datetime | None = None) -> Iterator[Piece[T_co]]:
        """Yield the lines of a block that starts at a byte of its source, stored first at a moment."""


class Parser(PieceParser[T], Protocol[T]):
    """What turns whole blocks of one format into columns too."""

    def parse(self, block: bytes, start: int = 0, at: datetime | None = None) -> ParsedBlock[T]:
        """Return the lines of a block, as `pieces` takes it."""


@dataclass(frozen=True, eq=False)
class LineFormat:
    """A format whose lines a function reads.

    Attributes:
        name, version, description, example, pattern: as in LogFormat.
        columns: what `read` may fill, names from COLUMNS.
        read: one line, never empty or too long, to its values; what it leaves out is NULL.
        continuation: how a line begins that continues the record before it; None: no line does. Such a line
            becomes a record with the time of the one that it continues.
    """

    name: str
    version: int
    columns: tuple[str, ...]
    read: Read
    description: str = ""
    example: bytes = b""
    pattern: str = ""
    continuation: re.Pattern[bytes] | None = None

    def record(self, line: bytes, at: datetime) -> dict[str, Any]:
        """Return the values of a line by column.

        Raises:
            RejectedLine: it does not have this format.
        """
        line = line.removesuffix(b"\r")
        if not line:
            raise RejectedLine("empty line", 0)
        if len(line) > LONGEST_LINE_BYTES:
            raise RejectedLine(f"longer than {LONGEST_LINE_BYTES} bytes", LONGEST_LINE_BYTES)
        return self.read(line, at)

    def match(self, line: bytes, /) -> dict[str, Any] | None:
        """Return the values of a line, None where it does not have this format by itself."""
        try:
            return self.record(line, datetime.now(UTC))
        except RejectedLine:
            return None

    def explain(self, line: bytes) -> RejectedLine:
        """Return why a line is rejected, with the byte where reading stopped where that is known."""
        try:
            self.record(line, datetime.now(UTC))
        except RejectedLine as error:
            return error
        return RejectedLine("a value does not fit its column")

    def is_header(self, line: bytes) -> bool:  # noqa: ARG002 - as LogFormat
        """Return False: such formats have no header lines."""
        return False

    def is_continuation(self, line: bytes) -> bool:
        """Return whether a line that is no record by itself continues the one before it."""
        return (
            self.continuation is not None
            and len(line) <= LONGEST_LINE_BYTES
            and self.continuation.match(line) is not None
        )


class LineParser(Generic[T]):
    """Parses blocks of a LineFormat, line by line; each of its columns is a group of its own."""

    def __init__(self, format_: LineFormat, encode: Encode[T]) -> None:
        self.format = format_
        self._encode = encode
        self._places = {column: place for place, column in enumerate(format_.columns)}
        self._nulls = [encode((column,), (None,)) for column in format_.columns]
        self._kept: dict[tuple[str, Any], T] = {}
        self._rules = adopted_rules()

    def parse(self, block: bytes, start: int = 0, at: datetime | None = None) -> ParsedBlock[T]:
        """Return the lines of a block, whatever bytes it holds."""
        with collector_paused():
            return self._parse(block, start, at or datetime.now(UTC))

    def _parse(self, block: bytes, start: int, at: datetime) -> ParsedBlock[T]:
        starts: list[int] = []
        rows: list[list[T]] = []
        rejected: list[Rejected] = []
        head: dict[str, Any] | None = None
        position = 0
        lines = block.split(b"\n")
        if not lines[-1]:
            del lines[-1]
        for line in lines:
            try:
                values = self._values(line, at, head)
                rows.append(self._encoded(values))
            except RejectedLine as error:
                rejected.append(Rejected(position, line, error.reason, error.position))
            else:
                starts.append(position)
                if self.format.continuation is not None and values.get("continues") is None:
                    head = _head(values, start + position)
            position += len(line) + 1
        groups = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in self._nulls]
        return ParsedBlock(starts, groups, rejected)

    def pieces(self, block: bytes, start: int = 0, at: datetime | None = None) -> Iterator[ParsedBlock[T]]:
        """Yield the lines of a block in one piece: its lines may continue each other."""
        yield self.parse(block, start, at)

    def _values(self, line: bytes, at: datetime, head: dict[str, Any] | None) -> dict[str, Any]:
        try:
            return self.format.record(line, at)
        except RejectedLine:
            if not self.format.is_continuation(line):
                raise
        if head is None:
            raise RejectedLine(CONTINUES_BEFORE, 0)
        return head | {"message": decode(line.removesuffix(b"\r"))}

    def _encoded(self, values: dict[str, Any]) -> list[T]:
        row = self._nulls.copy()
        for column, read in values.items():
            value = read if read is None or column not in self._rules else self._rules[column](read)
            if value is None:
                continue
            # Short values come again and again; each type has columns of its own, so 1 and True never meet.
            if isinstance(value, int) or (isinstance(value, str) and len(value) <= SHORT_CHARACTERS):
                row[self._places[column]] = self._remembered(column, value)
            else:
                row[self._places[column]] = self._encode((column,), (value,))
        return row

    def _remembered(self, column: str, value: Any) -> T:
        encoded = self._kept.get((column, value))
        if encoded is None:
            if len(self._kept) >= KEPT_VALUES:
                self._kept.clear()
            encoded = self._kept[column, value] = self._encode((column,), (value,))
        return encoded


def _head(values: dict[str, Any], line_start: int) -> dict[str, Any]:
    """Return what the lines that continue a record have of it."""
    kept = {name: values.get(name) for name in ("timestamp", "utc_offset_minutes", "inferred")}
    return kept | {"continues": line_start}


def alone(format_: LogFormat) -> LogFormat:
    """Return a format as it reads lines that do not follow each other: none of them continues another."""
    return replace(format_, continuation=None) if isinstance(format_, LineFormat) else format_


def parser_of(format_: LogFormat, encode: Encode[T]) -> Parser[T]:
    """Return a parser of a format, to be used for many blocks, in one thread."""
    if isinstance(format_, LineFormat):
        return LineParser(format_, encode)
    assert isinstance(format_, Format), "a format is one pattern, or a reader of lines"
    return BlockParser(format_, encode)
