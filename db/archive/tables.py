r"""What an archive holds of each table, and the fields of its rows: PostgreSQL's COPY text format.

One line a row, fields between tabs, `\N` for NULL, a backslash before what would be mistaken
(https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"). PostgreSQL writes and reads it by
itself; SQLite writes it by an expression and reads it by the functions here. Moments end in `+00`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Connection, Double, FromClause, LargeBinary, Text, Uuid, literal, select
from sqlalchemy.sql.elements import KeyedColumnElement

from db.archive.container import Archive
from db.columns import Moment, moment_text
from db.erasures import Erasure
from db.models import Base, CleanRecord, Conflict, Format, RawLog, RejectedLine, Segment, Source
from db.removals import Removal
from db.seals import Seal
from pipeline.errors import ConfigurationError

#: In the order in which they can be filled: who is referred to comes first.
MODELS: tuple[type[Base], ...] = (
    Source, Format, Segment, Removal, Seal, Erasure, Conflict, RawLog, RejectedLine, CleanRecord
)  # fmt: skip
TABLES: dict[str, FromClause] = {model.__tablename__: model.__table__ for model in MODELS}
#: What an archive holds of each. Counts for reports, and what segments add to them, follow from the records.
COLUMNS = {
    name: [column for column in table.columns if (name, column.name) != (Segment.__tablename__, "tally")]
    for name, table in TABLES.items()
}
#: Tables that archives of earlier versions do not have.
LATER = {Removal.__tablename__, Seal.__tablename__, Erasure.__tablename__}
NULL = "\\N"
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Reader = Callable[[str], Any]


def tables_of(archive: Archive) -> list[str]:
    """Return the tables that an archive fills, in order."""
    return [table for table in TABLES if table not in LATER or table in archive.manifest["tables"]]


def columns_of(archive: Archive, table: str) -> list[str]:
    """Return the columns of a table in an archive, each of which this schema has.

    Raises:
        ConfigurationError: the archive comes from another schema.
    """
    columns: list[str] = archive.manifest["tables"].get(table, {}).get("columns", [])
    known = TABLES[table].columns.keys()
    if not columns or (foreign := [name for name in columns if name not in known]):
        what = f"{table}.{foreign[0]}" if columns else table
        raise ConfigurationError(f"{archive.path} comes from another schema: {what} differs")
    return columns


def names(columns: list[str]) -> str:
    """Return columns as a list of SQL identifiers."""
    return ", ".join(f'"{column}"' for column in columns)


def sqlite_line(table: str) -> str:
    """Return SQLite's expression for a row of a table as a line, without its newline."""
    return " || char(9) || ".join(_sqlite_field(column) for column in COLUMNS[table])


def _sqlite_field(column: KeyedColumnElement[Any]) -> str:
    name = f'"{column.name}"'
    if isinstance(column.type, LargeBinary):
        # The backslash of bytea's own form, escaped as every backslash is.
        # NULLs apart, since hex() makes text of them.
        value = f"CASE WHEN {name} IS NOT NULL THEN '\\\\x' || lower(hex({name})) END"
    elif isinstance(column.type, Moment):
        value = f"{name} || '+00'"
    elif isinstance(column.type, Boolean):
        value = f"CASE WHEN {name} IS NOT NULL THEN substr('ft', {name} + 1, 1) END"
    elif isinstance(column.type, Double):
        # As many digits as give the same number again.
        value = f"printf('%!.17g', {name})"
        value = f"CASE WHEN {name} IS NOT NULL THEN {value} END"
    elif isinstance(column.type, Text | JSON):
        value = name
        for character, escape in (
            ("'\\'", "\\\\"),
            ("char(9)", "\\t"),
            ("char(10)", "\\n"),
            ("char(13)", "\\r"),
        ):
            value = f"replace({value}, {character}, '{escape}')"
    else:
        value = name
    return f"coalesce({value}, '{NULL}')"


def readers(table: str, columns: list[str]) -> list[Reader]:
    """Return for each column what makes a field into SQLite's value."""
    return [_reader(TABLES[table].columns[column].type) for column in columns]


def _reader(kind: object) -> Reader:
    if isinstance(kind, LargeBinary):
        return _nullable(blob)
    if isinstance(kind, Moment):
        return _nullable(_moment)
    if isinstance(kind, Uuid):
        return _nullable(lambda field: field.replace("-", ""))
    if isinstance(kind, Boolean):
        return _nullable(lambda field: int(field == "t"))
    # Numbers too: a column of SQLite makes a number of what looks like one, where it is one of numbers.
    return text


def _nullable(read: Reader) -> Reader:
    return lambda field: None if field == NULL else read(field)


def text(field: str) -> str | None:
    """Return the text of a field."""
    if "\\" not in field:
        return field
    return None if field == NULL else _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]), field)


def blob(field: str) -> bytes:
    """Return the bytes of a field that is not NULL."""
    return bytes.fromhex(field[3:])


def _moment(field: str) -> str:
    # PostgreSQL leaves zeros out at the end of a fraction; SQLite's text has six digits or none.
    if "." not in field:
        return field.removesuffix("+00")
    return moment_text(datetime.fromisoformat(field).astimezone(UTC))


def is_empty(connection: Connection) -> bool:
    """Tell whether no table that an archive fills holds a row."""
    found = (connection.execute(select(literal(1)).select_from(t).limit(1)).first() for t in TABLES.values())
    return not any(found)
