"""Which lines hold a subject's value: in lake, rejected lines and clean records.

PostgreSQL gives the rows whose text holds a spelling of it; SQLite gives every row, as its own search would
cost the same. Each is looked at again here, since only `Subject` knows where a word ends.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.types import JSON

from db import lines
from db.models import CleanRecord, RawLog, RejectedLine
from pipeline.subject import FIELDS, Subject, readable

#: Rows that are in memory at once.
ROWS_AT_ONCE = 1000
#: Characters at the end of a part of an over-long line that are looked at together with the next part.
OVERLAP = 4096
_NEWLINE = 10


@dataclass(slots=True)
class Lines:
    """Where lines are that hold a value.

    Attributes:
        starts: byte offsets of lines by source id.
        by_field: clean records whose own column is the value.
        by_text: rows of the three tables that hold it otherwise.
    """

    starts: dict[int, set[int]] = field(default_factory=dict)
    by_field: int = 0
    by_text: int = 0

    def add(self, source_id: int, *starts: int) -> None:
        """Add lines of a source."""
        self.starts.setdefault(source_id, set()).update(starts)

    @property
    def count(self) -> int:
        """Lines, each counted once."""
        return sum(map(len, self.starts.values()))


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for and where.

    Attributes:
        source_id: only in this source; None is every source.
        fields_only: of a line that was parsed whole, only its own column counts and not the rest of its text.
    """

    subject: Subject
    source_id: int | None = None
    fields_only: bool = False


def find(connection: Connection, search: Search) -> Lines:
    """Return every line that holds the value; memory grows with their number alone."""
    found = Lines()
    _find_raw(connection, search, found)
    _find_rejected(connection, search, found)
    _find_clean(connection, search, found)
    _find_continued(connection, search, found)
    return found


def _find_raw(connection: Connection, search: Search, found: Lines) -> None:
    postgresql = connection.dialect.name == "postgresql"
    condition = or_(_line_holds(RawLog, search.subject), _is_part(RawLog)) if postgresql else true()
    query = _lines_of(RawLog, search).where(condition)
    if search.fields_only:
        whole = exists().where(
            CleanRecord.source_id == RawLog.source_id,
            CleanRecord.line_start == RawLog.line_start,
            CleanRecord.failed_fields.is_(None),
        )
        query = query.where(~whole)
    joined = _Joined(connection, search.subject, found)
    for row in _streamed(connection, query.order_by(RawLog.source_id, RawLog.line_start)):
        joined.add(*row)
    joined.end()


@dataclass(slots=True)
class _Whole:
    """The parts of an over-long line that came by so far."""

    starts: list[int] = field(default_factory=list)
    rest: str = ""
    holds: bool = False


class _Joined:
    """Lines of the lake in order, the parts of an over-long one taken together."""

    def __init__(self, connection: Connection, subject: Subject, found: Lines) -> None:
        self._connection = connection
        self._subject = subject
        self._found = found
        # By source and the offset at which the line goes on.
        self._open: dict[tuple[int, int], _Whole] = {}

    def add(self, source_id: int, start: int, line: str, raw: Any) -> None:
        """Look at a line, or a part of one."""
        if raw is None and (source_id, start) not in self._open:
            if self._subject.holds(line):
                self._close(source_id, _Whole([start], holds=True))
            return
        whole = self._open.pop((source_id, start), None) or _Whole()
        content = lines.original(line, raw)
        text = whole.rest + readable(content)
        whole.starts.append(start)
        whole.holds = whole.holds or self._subject.holds(text)
        if content.endswith(b"\n"):
            self._close(source_id, whole)
        else:
            whole.rest = text[-OVERLAP:]
            self._open[source_id, start + len(content)] = whole

    def end(self) -> None:
        """Look at the last parts, which are no parts by themselves and so may not have come by."""
        for source_id, end in list(self._open):
            last = _columns(RawLog).where(RawLog.source_id == source_id, RawLog.line_start == end)
            row = self._connection.execute(last).first()
            if row is not None:
                self.add(*row)
        for (source_id, _), whole in self._open.items():
            self._close(source_id, whole)

    def _close(self, source_id: int, whole: _Whole) -> None:
        if whole.holds:
            self._found.by_text += len(whole.starts)
            self._found.add(source_id, *whole.starts)


def _find_rejected(connection: Connection, search: Search, found: Lines) -> None:
    postgresql = connection.dialect.name == "postgresql"
    query = _lines_of(RejectedLine, search).where(
        _line_holds(RejectedLine, search.subject) if postgresql else true()
    )
    for source_id, start, line, raw in _streamed(connection, query):
        if search.subject.holds(readable(lines.original(line, raw))):
            found.by_text += 1
            found.add(source_id, start)


def _find_clean(connection: Connection, search: Search, found: Lines) -> None:
    subject, dialect = search.subject, connection.dialect.name
    text = clean_text(dialect)
    own = [_as_text(CleanRecord.__table__.c[name], dialect) for name in FIELDS[subject.kind]]
    failed = CleanRecord.failed_fields
    query = select(CleanRecord.source_id, CleanRecord.line_start, text, failed.is_(None), *own)
    query = _within(query, CleanRecord, search)
    if dialect == "postgresql":
        query = query.where(contains(text, subject, subject.pseudonyms))
    for source_id, start, content, is_whole, *values in _streamed(connection, query):
        if any(map(subject.is_field, values)):
            found.by_field += 1
        elif (search.fields_only and is_whole) or not subject.holds(content):
            continue
        else:
            found.by_text += 1
        found.add(source_id, start)


def _find_continued(connection: Connection, search: Search, found: Lines) -> None:
    """Add the lines that continue a record, as those of a stack trace do."""
    query = select(CleanRecord.source_id, CleanRecord.line_start, CleanRecord.continues)
    query = _within(query.where(CleanRecord.continues.is_not(None)), CleanRecord, search)
    for source_id, start, first in _streamed(connection, query):
        if first in found.starts.get(source_id, ()):
            found.add(source_id, start)


def clean_text(dialect: str) -> ColumnElement[str]:
    """Return all text of a clean record as one expression, a line a column."""
    columns = [
        func.coalesce(_as_text(column, dialect), "")
        for column in CleanRecord.__table__.columns
        if isinstance(column.type, Text | JSON)
    ]
    joined: ColumnElement[str] = columns[0]
    for column in columns[1:]:
        joined = joined.concat("\n").concat(column)
    return type_coerce(joined, Text())


def _as_text(column: Any, dialect: str) -> ColumnElement[Any]:
    if dialect == "postgresql" and column.name == "ip":
        return type_coerce(func.host(column), Text())
    return cast(column, Text()) if isinstance(column.type, JSON) else type_coerce(column, Text())


def contains(
    text: SQLColumnExpression[Any], subject: Subject, others: Iterable[str] = ()
) -> ColumnElement[bool]:
    """Return PostgreSQL's condition that a text holds a spelling, wherever words end."""
    folded = func.lower(text) if subject.ignores_case else text
    words = (_needle(word, subject) for word in (*subject.spellings, *others))
    return or_(*(func.strpos(folded, word) > 0 for word in words))


def _needle(word: str, subject: Subject) -> ColumnElement[Any]:
    # What PostgreSQL's text cannot hold stands in no text of its.
    plain = word.encode(errors="replace").decode().replace("\0", "?")
    return func.lower(plain) if subject.ignores_case else literal(plain)


def _line_holds(model: type[RawLog | RejectedLine], subject: Subject) -> ColumnElement[bool]:
    # Bytes as text, in which what is no ASCII is written in octal: in the words too.
    text = func.encode(model.raw, "escape")
    folded = func.lower(text) if subject.ignores_case else text
    words = (_octal(word) for word in subject.spellings)
    in_raw = or_(*(func.strpos(folded, word.lower() if subject.ignores_case else word) > 0 for word in words))
    return or_(and_(model.raw.is_(None), contains(model.line, subject)), in_raw)


def _octal(word: str) -> str:
    content = word.encode(errors="surrogateescape").replace(b"\\", b"\\\\")
    return "".join(chr(byte) if 0 < byte < 128 else f"\\{byte:03o}" for byte in content)  # noqa: PLR2004 - ASCII


def _is_part(model: type[RawLog]) -> ColumnElement[bool]:
    last = func.get_byte(model.raw, func.octet_length(model.raw) - 1)
    return model.raw.is_not(None) & (func.octet_length(model.raw) > 0) & (last != _NEWLINE)


def _columns(model: type[RawLog | RejectedLine]) -> Select[*tuple[Any, ...]]:
    return select(model.source_id, model.line_start, model.line, model.raw)


def _lines_of(model: type[RawLog | RejectedLine], search: Search) -> Select[*tuple[Any, ...]]:
    return _within(_columns(model), model, search)


def _within(
    query: Select[*tuple[Any, ...]], model: type[RawLog | RejectedLine | CleanRecord], search: Search
) -> Select[*tuple[Any, ...]]:
    return query if search.source_id is None else query.where(model.source_id == search.source_id)


def _streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    return iter(connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)))
