"""What a log format is: one pattern with named groups, and the columns that each group fills."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from pipeline.errors import ConfigurationError, RejectedLine


class ColumnType(StrEnum):
    """The types that a column of a clean record may have; `inet` values travel as text, `json` as a dict."""

    TEXT = "text"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"
    INET = "inet"
    JSON = "json"


#: Every column that a format may fill, with its type. All but `timestamp` may be NULL.
COLUMNS: dict[str, ColumnType] = {
    "timestamp": ColumnType.TIMESTAMP,
    "utc_offset_minutes": ColumnType.SMALLINT,
    "ip": ColumnType.INET,
    "client_host": ColumnType.TEXT,
    "session": ColumnType.TEXT,
    "user_name": ColumnType.TEXT,
    "rest_method": ColumnType.TEXT,
    "schema": ColumnType.TEXT,
    "host": ColumnType.TEXT,
    "port": ColumnType.INTEGER,
    "path": ColumnType.TEXT,
    "query": ColumnType.TEXT,
    "rest_version": ColumnType.TEXT,
    "status": ColumnType.SMALLINT,
    "size_bytes": ColumnType.BIGINT,
    "referer": ColumnType.TEXT,
    "user_agent": ColumnType.TEXT,
    "country": ColumnType.TEXT,
    "city": ColumnType.TEXT,
    # Number of the network (autonomous system) that announces the address.
    "asn": ColumnType.BIGINT,
    # What the address is where it is none of the public Internet: private, loopback, reserved ...
    "ip_scope": ColumnType.TEXT,
    "browser": ColumnType.TEXT,
    "os": ColumnType.TEXT,
    "device": ColumnType.TEXT,
    "is_bot": ColumnType.BOOLEAN,
    # The virtual host that answered.
    "server_name": ColumnType.TEXT,
    # From the first byte of the request to the last of the answer, and the part of it upstream servers took.
    "duration_seconds": ColumnType.DOUBLE,
    "upstream_seconds": ColumnType.DOUBLE,
    # Of what is no access log: severity, program, its process, and the text.
    "level": ColumnType.TEXT,
    "program": ColumnType.TEXT,
    "process_id": ColumnType.BIGINT,
    "message": ColumnType.TEXT,
    # line_start of the record that this line continues, as a line of a stack trace does.
    "continues": ColumnType.BIGINT,
    # Names of what the line does not say and a rule supplied, such as `year` or `zone`.
    "inferred": ColumnType.TEXT,
    # Names of the fields that did not convert; NULL for a complete record.
    "failed_fields": ColumnType.TEXT,
    # Fields without a column of their own, by name.
    "extra": ColumnType.JSON,
}

#: Turns the bytes of one group, or a tuple of those of its captures, into the values of its columns; raises
#: RejectedLine for an impossible value.
Convert = Callable[[Any], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a placeholder of a pattern stands for, in three readings of the same thing.

    The regular expression engine scans a set of one excluded byte at more than twice the speed of a larger
    set, so `quick` may run across a newline: its caller has to see that every match took exactly one line.
    It is bounded, or a block of lines without a single space would be scanned to its end from each of them.
    `strict` is `quick` without that freedom. Both accept less than `exact`, with the same captures. The loops
    of `exact` are unrolled: where one ends is never in doubt, so going back into it fails at once and the
    time is linear. Possessive loops would say so, but a group of them fails in Python 3.11.2, Debian 12's.
    """

    quick: str
    strict: str
    exact: str


#: A longer line is rejected unread, in bytes: a mebibyte of escapes takes the engine 150 MiB to remember.
LONGEST_LINE_BYTES = 64 << 10

#: What follows each piece of a pattern.
PIECE_END = r"(?=[ \t]|\r?$)"
#: Reason of a line that belongs to the log but is no record by design.
HEADER_REASON = "header line, no record"

#: Placeholders, written in braces in a pattern.
FRAGMENTS: dict[str, Fragment] = {
    "word": Fragment(r"[^ ]{1,255}", r"[^ \n]{1,255}", r"[^ \n]+"),
    # A user may hold spaces and brackets; it ends before a space, a bracket and the two digits of a day.
    "user": Fragment(r"[^\[]{1,255}", r"[^\[\n]{1,255}", r"[^ \n]*(?: (?!\[\d\d/)[^ \n]*)*"),
    "time": Fragment(r"\d\d/[^\]]{1,99}", r"\d\d/[^\]\n]{1,99}", r"\d\d/[^\]\n]+"),
    # Up to the first quote that no backslash escapes.
    "quoted": Fragment(r'[^"]{0,4096}(?<!\\)', r'[^"\n]{0,4096}(?<!\\)', r'[^"\\\n]*(?:\\.[^"\\\n]*)*'),
    # Up to the last quote that lets the rest of the pattern match: raw quotes inside are kept.
    "greedy": Fragment(r'[^"]{0,4096}', r'[^"\n]{0,4096}', r"[^\n]*"),
    # Up to the end of the line, without the CR before it.
    "rest": Fragment(*[r"[^\n]*(?<!\r)"] * 3),
}


def expand(pattern: str, reading: str) -> str:
    """Return a pattern with a reading, "quick", "strict" or "exact", of its placeholders."""
    for name, fragment in FRAGMENTS.items():
        pattern = pattern.replace(f"{{{name}}}", getattr(fragment, reading))
    return pattern


@dataclass(frozen=True, slots=True)
class Group:
    """What one named group of the pattern, or several together, fill.

    Attributes:
        name: of the group in the pattern; people read it in the reason of a rejected line.
        columns: names from COLUMNS, in the order of the values.
        convert: from the group's bytes to one value per column; from a tuple of bytes with several captures.
        captures: the groups of the pattern that this one is made of, where it is not the one of its name.
    """

    name: str
    columns: tuple[str, ...]
    convert: Convert
    captures: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the groups of the pattern that it is made of."""
        return self.captures or (self.name,)


@dataclass(frozen=True)
class Format:
    """A log format; its version rises with each change of what it makes of a line.

    Attributes:
        name, version: identify it in the database.
        pattern: one line without its end, as a regular expression over bytes with placeholders of FRAGMENTS.
            Its capturing groups are what `groups` are made of, none inside another or in an alternative.
        groups: what each group fills.
        description: what writes such lines, in a few words.
        example: a line of this format, without its end.
        essential: the group up to which a line that ends too early must be whole to be a partial record; "":
            it never is one.
        header: how header lines begin, which belong to the log and are no records.
    """

    name: str
    version: int
    pattern: str
    groups: tuple[Group, ...]
    description: str = ""
    example: bytes = b""
    essential: str = ""
    header: bytes = b""

    def __post_init__(self) -> None:
        """Check that pattern, groups and COLUMNS fit together.

        Raises:
            ConfigurationError: names the format and what does not fit.
        """
        columns = [column for group in self.groups for column in group.columns]
        named = self.captures
        used = {source for group in self.groups for source in group.sources}
        if set(named) != used or len(named) != self.exact.groups:
            raise ConfigurationError(f"format {self.name}: the pattern's groups are {', '.join(named)}")
        if not set(columns) <= COLUMNS.keys() or len(columns) != len(set(columns)):
            raise ConfigurationError(f"format {self.name}: a column is unknown or filled twice")
        if "timestamp" not in columns:
            raise ConfigurationError(f"format {self.name}: no group fills timestamp")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the groups fill, in order."""
        return tuple(column for group in self.groups for column in group.columns)

    @property
    def captures(self) -> tuple[str, ...]:
        """Names of the groups of the pattern, in order."""
        return tuple(self.exact.groupindex)

    @cached_property
    def exact(self) -> re.Pattern[bytes]:
        """The pattern of one whole line, for `match`; a CR before the newline is not part of a field."""
        return self._compile(expand(self.pattern, "exact") + r"\r?")

    def block_pattern(self, reading: str) -> re.Pattern[bytes]:
        """Return the pattern of a block of lines in a reading, "quick" or "strict", for `split`.

        Every match holds the fields of one line, or, where they do not fit, the whole line as its last group.
        """
        return self._compile(f"(?:{expand(self.pattern, reading)}\\r?\\n|(.*\\n))")

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """Return the fields of one line, read exactly, or None where they do not fit."""
        return self.exact.fullmatch(line) if len(line) <= LONGEST_LINE_BYTES else None

    def is_header(self, line: bytes) -> bool:
        """Return whether a line belongs to the log and is no record by design."""
        return bool(self.header) and line.startswith(self.header)

    def explain(self, line: bytes) -> RejectedLine:
        """Return why the pattern does not fit a line, with the byte where the fitting part of it ends."""
        if not line:
            return RejectedLine("empty line", 0)
        if self.is_header(line):
            return RejectedLine(HEADER_REASON, 0)
        if len(line) > LONGEST_LINE_BYTES:
            return RejectedLine(f"longer than {LONGEST_LINE_BYTES} bytes", LONGEST_LINE_BYTES)
        longest = self._prefixes.match(line)
        assert longest is not None, "every part of the pattern of prefixes is optional"
        position, matched = longest.end(), longest.lastindex or 0
        named = self.captures
        expected = f'"{named[matched]}"' if matched < len(named) else "the end of the line"
        return RejectedLine(f"expected {expected} at byte {position}", position)

    @cached_property
    def _prefixes(self) -> re.Pattern[bytes]:
        # Each piece optional, inside the one before.
        nested = ""
        for piece in reversed(self.pieces):
            nested = f"(?:{expand(piece, 'exact')}{PIECE_END}{nested})?"
        return self._compile(nested)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The pattern in pieces: each group with what stands around it, from a blank to the next."""
        return tuple(re.split(r"(?=[ \t][^ ()]*\(\?P<)", self.pattern))

    def _compile(self, pattern: str) -> re.Pattern[bytes]:
        try:
            return re.compile(pattern.encode())
        except re.error as error:
            raise ConfigurationError(f"format {self.name}: {error}") from error
