"""What becomes of the lines that a source's format does not take whole."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Generic, TypeVar

from pipeline.formats import w3c
from pipeline.formats.base import Format
from pipeline.formats.line import LogFormat, Parser, alone, parser_of
from pipeline.formats.memo import Encode
from pipeline.formats.parse import ParsedBlock, Rejected
from pipeline.formats.partial import PartialParser

T = TypeVar("T")
#: A longer line is not tried by other formats, in bytes: each of a dozen would read all of it.
LONGEST_FOREIGN_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class Recovered(Generic[T]):
    """Lines of one format that are records after all.

    Attributes:
        format: which reads them.
        columns: of all groups, in order; with `failed_fields` where the records are partial.
        lines: starts in the block and groups; nothing is rejected there.
    """

    format: LogFormat
    columns: tuple[str, ...]
    lines: ParsedBlock[T]


@dataclass(frozen=True, slots=True)
class Rest(Generic[T]):
    """Rejected lines sorted: those that are records after all, format by format, and the others."""

    recovered: list[Recovered[T]]
    rejected: list[Rejected]


class RestReader(Generic[T]):
    """Reads rejected lines: first whole in another format, then in part in their own.

    It keeps parsers, so use one for many blocks, in one thread.
    """

    def __init__(
        self,
        encode: Encode[T],
        others: Callable[[], Iterable[LogFormat]],
        enriched: Callable[[LogFormat], LogFormat] = lambda format_: format_,
    ) -> None:
        self._encode = encode
        self._others = others
        self._enriched = enriched
        self._parsers: dict[LogFormat, Parser[T]] = {}
        self._partial: dict[Format, PartialParser[T]] = {}

    def read(
        self, format_: LogFormat, rejected: Sequence[Rejected], *, mixed: bool, at: datetime | None = None
    ) -> Rest[T]:
        """Return what lines are that `format_` rejects; only a mixed source has lines of other formats.

        `at` is the moment at which they were stored first.
        """
        recovered: list[Recovered[T]] = []
        lines = list(rejected)
        for other in self._candidates(format_, lines) if mixed else ():
            if other is not format_ and lines:
                taken, lines = self._in_other(other, format_, lines, at)
                recovered += taken
        if isinstance(format_, Format):
            taken, lines = self._in_part(format_, lines)
            recovered += taken
        return Rest(recovered, lines)

    def _candidates(self, format_: LogFormat, lines: list[Rejected]) -> Iterable[LogFormat]:
        headers = any(format_.is_header(each.line) for each in lines)
        declared = w3c.declared(b"\n".join(each.line for each in lines)) if headers else None
        return [*([declared] if declared else []), *self._others()]

    def _in_other(
        self, other: LogFormat, format_: LogFormat, lines: list[Rejected], at: datetime | None
    ) -> tuple[list[Recovered[T]], list[Rejected]]:
        # A match alone is quick to fail; the parser would look for a reason that no one reads.
        tried = [each for each in lines if _may_be_foreign(format_, each.line) and other.match(each.line)]
        if other not in self._parsers:
            self._parsers[other] = parser_of(alone(self._enriched(other)), self._encode)
        parsed = self._parsers[other].parse(b"".join(each.line + b"\n" for each in tried), at=at)
        if not parsed.starts:
            return [], lines
        places = dict(zip(accumulate((len(each.line) + 1 for each in tried), initial=0), tried, strict=False))
        starts = [places[start].start for start in parsed.starts]
        taken = set(starts)
        columns = self._parsers[other].format.columns
        found = Recovered(other, columns, ParsedBlock(starts, parsed.groups, []))
        return [found], [each for each in lines if each.start not in taken]

    def _in_part(self, format_: Format, lines: list[Rejected]) -> tuple[list[Recovered[T]], list[Rejected]]:
        if format_ not in self._partial:
            enriched = self._enriched(format_)
            assert isinstance(enriched, Format), "enrichment keeps the kind of a format"
            self._partial[format_] = PartialParser(enriched, self._encode)
        parser = self._partial[format_]
        read = [(each, parser.parse(each.line)) for each in lines]
        rows = [(each.start, values) for each, values in read if values is not None]
        if not rows:
            return [], lines
        groups = [list(column) for column in zip(*(values for _, values in rows), strict=True)]
        found = Recovered(format_, parser.columns, ParsedBlock([start for start, _ in rows], groups, []))
        return [found], [each for each, values in read if values is None]


def _may_be_foreign(format_: LogFormat, line: bytes) -> bool:
    return 0 < len(line) <= LONGEST_FOREIGN_BYTES and not format_.is_header(line)
