"""A format tried on lines: how many parse, and an example of each kind of those that do not; pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

from pipeline.formats import FORMATS
from pipeline.formats.base import HEADER_REASON, LONGEST_LINE_BYTES
from pipeline.formats.line import LogFormat, parser_of
from pipeline.formats.parse import ParsedBlock, Rejected
from pipeline.formats.rest import Recovered, RestReader

#: Bytes of lines that are parsed at once; what the formats are recognised from is the first such block.
BLOCK_BYTES = 1 << 20
#: Kinds of rejected lines that are told apart; a format whose reasons are all different must not fill memory.
MOST_KINDS = 50
#: Signature of what comes after so many kinds.
OTHER = "other reasons"
#: Parts of a reason that differ between lines of one kind: the position, and quoted values, of which the name
#: of a group after "expected" is none.
VARYING = re.compile(r""" at byte \d+|(?<!expected )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")…?""")


@dataclass(slots=True)
class Kind:
    """Rejected lines with one signature, and the first of them.

    Attributes:
        signature: the reason without positions and values.
        line_number: of the first one, from 1.
        example: that line.
        count: lines of this kind.
    """

    signature: str
    line_number: int
    example: Rejected
    count: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """An accepted line: its number, from 1, and its typed values by column."""

    line_number: int
    values: dict[str, Any]


@dataclass(slots=True)
class Trial:
    """What became of the lines.

    Attributes:
        format: the one tried.
        lines, records: how many were read, and how many of them are records.
        partial: records of which a field failed, by the names of the failed fields.
        headers: lines that are no records by design.
        others: records in other formats than the one tried, by their names.
        first: the first records.
        kinds: kinds of rejected lines by signature, in the order of their first lines.
    """

    format: LogFormat
    lines: int = 0
    records: int = 0
    partial: Counter[str] = field(default_factory=Counter)
    headers: int = 0
    others: Counter[str] = field(default_factory=Counter)
    first: list[Record] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Lines that should parse and do not."""
        return self.lines - self.headers - self.records

    @property
    def percent(self) -> float:
        """Share of the lines that parse, 0 to 100, rounded down so that only all of them make 100."""
        lines = self.lines - self.headers
        return self.records * 10_000 // lines / 100 if lines else 100.0

    def by_count(self) -> list[Kind]:
        """Return the kinds of rejected lines, the most frequent first."""
        return sorted(self.kinds.values(), key=lambda kind: -kind.count)


def read_blocks(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield the first `limit` lines of a stream in blocks; of a line too long to parse only its head."""
    block: list[bytes] = []
    size = 0
    for line in islice(_lines(stream), limit):
        block.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    # The longest line that parses, and its newline.
    most = LONGEST_LINE_BYTES + 1
    while line := stream.readline(most):
        if len(line) < most or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(BLOCK_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield line + b"\n"


def try_format(format_: LogFormat, blocks: Iterable[bytes], first: int, *, mixed: bool = False) -> Trial:
    """Return what a format makes of blocks of whole lines, with its first so many records.

    With `mixed` a line that it does not take is tried by the other formats, as in a recognised source.
    """
    parser = parser_of(format_, _named)
    rest: RestReader[dict[str, Any]] = RestReader(_named, FORMATS.values)
    trial = Trial(format_)
    for block in blocks:
        parsed = parser.parse(block)
        _keep_first(trial, block, parsed, first - len(trial.first))
        left = rest.read(format_, parsed.rejected, mixed=mixed)
        for found in left.recovered:
            _count(trial, found)
        _keep_kinds(trial, block, left.rejected)
        trial.lines += parsed.line_count
        trial.records += len(parsed.starts)
    return trial


def signature(reason: str) -> str:
    """Return the reason of a rejected line without what differs between lines of its kind."""
    return VARYING.sub(lambda varying: "" if varying[0].startswith(" ") else "…", reason)


def _named(columns: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(columns, values, strict=True))


def _keep_first(trial: Trial, block: bytes, parsed: ParsedBlock[dict[str, Any]], wanted: int) -> None:
    for start, *groups in islice(zip(parsed.starts, *parsed.groups, strict=True), max(wanted, 0)):
        number = trial.lines + block.count(b"\n", 0, start) + 1
        values = {column: value for group in groups for column, value in group.items()}
        trial.first.append(Record(number, values))


def _count(trial: Trial, found: Recovered[dict[str, Any]]) -> None:
    count = len(found.lines.starts)
    trial.records += count
    if found.format is trial.format:
        trial.partial.update(values["failed_fields"] for values in found.lines.groups[-1])
    else:
        trial.others[found.format.name] += count


def _keep_kinds(trial: Trial, block: bytes, lines: Iterable[Rejected]) -> None:
    number, passed = trial.lines + 1, 0
    for rejected in lines:
        number += block.count(b"\n", passed, rejected.start)
        passed = rejected.start
        if rejected.reason == HEADER_REASON:
            trial.headers += 1
            continue
        name = signature(rejected.reason)
        if name not in trial.kinds and len(trial.kinds) >= MOST_KINDS:
            name = OTHER
        trial.kinds.setdefault(name, Kind(name, number, rejected)).count += 1
