"""The rows that the reference loads: the same lines, parsed beforehand and written as text.

27 columns of clean, those that users of such pipelines expect, derived ones included, and 3 of the lake.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import chain, repeat
from pathlib import Path
from typing import IO, Any, NamedTuple

from pipeline.errors import PipelineError
from pipeline.formats.ncsa import COMBINED
from pipeline.formats.parse import BlockParser
from pipeline.formats.request import REQUEST_COLUMNS, join_url

#: Bytes of the log that are parsed at a time.
BLOCK_BYTES = 1 << 20
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Rule(NamedTuple):
    """Some columns of the reference: what they are made of, their SQL names and types, how they follow."""

    sources: tuple[str, ...]
    definitions: tuple[str, ...]
    values: Callable[..., tuple[Any, ...]]


def _user(user: str | None) -> tuple[Any, ...]:
    domain = user.partition("@")[2] if user else ""
    return user, bool(domain), domain or None


def _moment(moment: datetime) -> tuple[Any, ...]:
    day = (moment.year, moment.month, moment.day)
    return moment.isoformat(" "), *day, f"{moment:%A}", f"{moment:%H:%M:%S}"


def _request(
    method: str | None, schema: str | None, host: str | None, port: int | None, *rest: Any
) -> tuple[Any, ...]:
    path, query, version = rest
    url = None if path is None else join_url((schema, host, port, path, query))
    return method, url, schema, host, version


def _status(status: int | None) -> tuple[Any, ...]:
    return status, None if status is None else _PHRASES.get(status)


def _size(size: int | None) -> tuple[Any, ...]:
    return (size, None, None) if size is None else (size, size / 1024, size / 1048576)


def _same(value: Any) -> tuple[Any, ...]:
    return (value,)


_DAY = ("year smallint", "month smallint", "day smallint", "day_of_week text", '"time" time')
_SIZES = ("size_bytes bigint", "size_kilo_bytes double precision", "size_mega_bytes double precision")
_TARGET = ("rest_method text", "url text", '"schema" text', "host text", "rest_version text")
RULES = (
    Rule(("ip",), ("ip inet",), _same),
    Rule(("session",), ("session text",), _same),
    Rule(("user_name",), ('"user" text', "is_email boolean", "email_domain text"), _user),
    Rule(("timestamp",), ('"timestamp" timestamptz', *_DAY), _moment),
    Rule(REQUEST_COLUMNS, _TARGET, _request),
    Rule(("status",), ("status smallint", "status_verbose text"), _status),
    Rule(("size_bytes",), _SIZES, _size),
    Rule(("referer",), ("referer text",), _same),
    Rule(("user_agent",), ("user_agent text",), _same),
)


def _rules(columns: tuple[str, ...]) -> list[Rule]:
    return [rule for rule in RULES if set(rule.sources) <= set(columns)]


FORMAT = COMBINED
PLACE = ("source integer", '"offset" bigint')
RAW_COLUMNS = (*PLACE, "line text")
CLEAN_COLUMNS = (
    *PLACE,
    *(column for group in FORMAT.groups for rule in _rules(group.columns) for column in rule.definitions),
    "country text",
    "city text",
)


@dataclass(frozen=True)
class Dialect:
    """A way to write rows as text: between fields, one field, the field that is NULL."""

    separator: bytes
    field: Callable[[Any], str]
    null: str


def copy_field(value: Any) -> str:
    """Return a field as PostgreSQL's COPY reads it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    escaped = str(value).replace("\\", "\\\\").replace("\t", "\\t")
    return escaped.replace("\n", "\\n").replace("\r", "\\r")


def csv_field(value: Any) -> str:
    """Return a field as `sqlite3 .import --csv` reads it."""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


COPY = Dialect(b"\t", copy_field, "\\N")
CSV = Dialect(b",", csv_field, "")


class Rows(NamedTuple):
    """The two files."""

    raw: Path
    clean: Path

    @property
    def tables(self) -> tuple[tuple[str, Path], ...]:
        """Name of the table and file, the one that takes longer first."""
        return ("reference_clean", self.clean), ("reference_raw", self.raw)


def write_rows(log: Path, folder: Path, dialect: Dialect) -> Rows:
    """Write the rows of a log in the format `combined` to two files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = Rows(folder / "raw.rows", folder / "clean.rows")
    writer = _Writer(dialect)
    with ExitStack() as stack:
        file, raw, clean = (
            stack.enter_context(path.open(mode))
            for path, mode in ((log, "rb"), (rows.raw, "wb"), (rows.clean, "wb"))
        )
        offset = 0
        for block in _blocks(file):
            writer.write(block, offset, raw, clean)
            offset += len(block)
    return rows


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block + file.readline()


class _Writer:
    """Writes the rows of blocks, with the parser of the pipeline so that both load the same values."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._parser = BlockParser(FORMAT, self._encode)

    def _encode(self, columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        named = dict(zip(columns, values, strict=True))
        made = (rule.values(*(named[name] for name in rule.sources)) for rule in _rules(columns))
        return self._joined(chain.from_iterable(made))

    def _joined(self, values: Iterable[Any]) -> bytes:
        dialect = self._dialect
        return dialect.separator.join(
            (dialect.null if value is None else dialect.field(value)).encode() for value in values
        )

    def write(self, block: bytes, offset: int, raw: IO[bytes], clean: IO[bytes]) -> None:
        parsed = self._parser.parse(block)
        if parsed.rejected:
            raise PipelineError("the reference cannot load lines that do not parse")
        separator = self._dialect.separator
        places = [self._joined((1, offset + start)) for start in parsed.starts]
        lines = (self._joined((line.decode(),)) for line in block.split(b"\n"))
        raw.writelines(
            b"%b%b%b\n" % (place, separator, line) for place, line in zip(places, lines, strict=False)
        )
        tail = repeat(self._joined((None, None)), len(places))
        rows = zip(places, *parsed.groups, tail, strict=True)
        clean.writelines(separator.join(row) + b"\n" for row in rows)
