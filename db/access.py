"""Who accessed what and when: the clean records of a user or of a resource, one by one or summed up.

It reads the view that reports may read, and no line as it was written.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    column,
    func,
    select,
    table,
    text,
    type_coerce,
)

from db.columns import Moment
from db.export import snapshot
from db.models import Source
from db.summaries import prefer_summaries, summarise
from db.traffic import size_sum
from pipeline.export.table import Chunk, Column, Table
from pipeline.formats.base import ColumnType

#: Rows of one chunk.
CHUNK_ROWS = 2000
#: Stands at the end of a resource for everything below.
BELOW = "*"
#: Memory of the sort; what does not fit the server sorts on its disk.
_WORK_MEMORY = text("SET LOCAL work_mem = '64MB'")

_LOGS = table(
    "clean_logs",
    column("timestamp", Moment()),
    *map(
        column,
        (
            "source_id", "line_start", "user", "ip", "session", "rest_method", "host", "path", "url",
            "status", "size_bytes", "user_agent",
        ),
    ),
)  # fmt: skip
_ACCESS = (
    Column("timestamp", ColumnType.TIMESTAMP),
    Column("user", ColumnType.TEXT),
    Column("ip", ColumnType.TEXT),
    Column("session", ColumnType.TEXT),
    Column("rest_method", ColumnType.TEXT),
    Column("url", ColumnType.TEXT),
    Column("status", ColumnType.SMALLINT),
    Column("size_bytes", ColumnType.BIGINT),
    Column("user_agent", ColumnType.TEXT),
    Column("source", ColumnType.TEXT),
    Column("line_start", ColumnType.BIGINT),
)
_SUMS = (
    Column("accesses", ColumnType.BIGINT),
    Column("first", ColumnType.TIMESTAMP),
    Column("last", ColumnType.TIMESTAMP),
    Column("bytes", ColumnType.BIGINT),
)
_WHO = (Column("user", ColumnType.TEXT), Column("ip", ColumnType.TEXT))
_WHAT = (
    Column("rest_method", ColumnType.TEXT),
    Column("host", ColumnType.TEXT),
    Column("path", ColumnType.TEXT),
)


@dataclass(frozen=True, slots=True)
class Question:
    """Whose accesses, or accesses to what.

    Attributes:
        users: names that stand for one user, the pseudonym of it too; none: everybody.
        resource: a path, or with `*` at its end every path that begins so; None: everything.
        since, until: aware datetimes, [since, until), by the time in the record; None without a bound.
        source_id: only of this source.
    """

    users: Sequence[str] = ()
    resource: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    source_id: int | None = None


@contextmanager
def accesses(engine: Engine, question: Question, chunk_rows: int = CHUNK_ROWS) -> Iterator[Table]:
    """Yield each access in the order of time; memory holds a chunk.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    dialect = engine.dialect.name
    own = {"source": Source.path, "ip": _address(dialect)}
    columns = [own[each.name] if each.name in own else _LOGS.c[each.name] for each in _ACCESS]
    query = select(*columns).select_from(_LOGS).join(Source, Source.id == _LOGS.c.source_id)
    order = (_LOGS.c.timestamp, _LOGS.c.source_id, _LOGS.c.line_start)
    with _answered(engine, question, query.order_by(*order), chunk_rows) as chunks:
        yield Table(_ACCESS, chunks)


@contextmanager
def summary(engine: Engine, question: Question, chunk_rows: int = CHUNK_ROWS) -> Iterator[Table]:
    """Yield what a user accessed, or who accessed a resource, how often, the most often first.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    heads = _WHAT if question.users else _WHO
    keys = [_address(engine.dialect.name) if each.name == "ip" else _LOGS.c[each.name] for each in heads]
    time, count = _LOGS.c.timestamp, func.count()
    first, last = (type_coerce(each, Moment()) for each in (func.min(time), func.max(time)))
    query = select(*keys, count, first, last, size_sum(_LOGS.c.size_bytes)).select_from(_LOGS).group_by(*keys)
    with _answered(engine, question, query.order_by(count.desc(), *keys), chunk_rows) as chunks:
        yield Table((*heads, *_SUMS), chunks)


@contextmanager
def _answered(
    engine: Engine, question: Question, query: Select[*tuple[Any, ...]], chunk_rows: int
) -> Iterator[Iterator[Chunk]]:
    summarise(engine)
    conditions = _conditions(question)
    with snapshot(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_WORK_MEMORY)
        if question.since or question.until or question.source_id is not None:
            prefer_summaries(connection)
        yield _chunks(connection, query.where(*conditions), chunk_rows)


def _chunks(connection: Connection, query: Select[*tuple[Any, ...]], chunk_rows: int) -> Iterator[Chunk]:
    rows = connection.execute(query.execution_options(yield_per=chunk_rows))
    for part in rows.partitions(chunk_rows):
        yield list(zip(*part, strict=True))


def _address(dialect: str) -> ColumnElement[Any]:
    return type_coerce(func.host(_LOGS.c.ip) if dialect == "postgresql" else _LOGS.c.ip, Text())


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if question.users:
        found.append(_LOGS.c.user.in_(question.users))
    if question.resource is not None:
        found.append(_is_resource(question.resource))
    if question.since is not None:
        found.append(_LOGS.c.timestamp >= question.since)
    if question.until is not None:
        found.append(_LOGS.c.timestamp < question.until)
    if question.source_id is not None:
        found.append(_LOGS.c.source_id == question.source_id)
    return found


def _is_resource(resource: str) -> ColumnElement[bool]:
    if not resource.endswith(BELOW):
        return _LOGS.c.path == resource
    # Not LIKE, which takes upper and lower case for the same on SQLite.
    start = resource.removesuffix(BELOW)
    return func.substr(_LOGS.c.path, 1, len(start)) == start
