"""Rejected lines as people look at them: grouped by what their reasons have in common, and one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from db import lines
from db.cleaned import format_names
from db.engine import reading
from db.models import RejectedLine, Source
from pipeline.formats.trial import OTHER, signature

#: Groups that are told apart; reasons that are all different must not fill memory.
MOST_GROUPS = 200
#: Rows that are in memory at once.
ROWS_AT_ONCE = 1000

#: Name and version of a format, None where none was recognised.
MadeBy = tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rejected lines: those stored on a day (UTC) or later, of one source or of all."""

    since: date | None = None
    source_id: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejected line.

    Attributes:
        source_id, path: of its source.
        line_start: byte offset in the source.
        format: that rejected it, with its version.
        position: byte position in the line at which parsing stopped, None for none.
        line: its bytes, without the newline.
    """

    source_id: int
    path: str
    line_start: int
    format: MadeBy
    position: int | None
    reason: str
    line: bytes


@dataclass(slots=True)
class Group:
    """Lines that one version of a format rejects for one kind of reason.

    Attributes:
        signature: the reason without positions and values.
        first: source and byte offset of the first of them, in the order of sources and bytes.
        example: that line.
    """

    signature: str
    format: MadeBy
    count: int
    first: tuple[int, int]
    example: Rejection | None = None


def grouped(engine: Engine, scope: Scope) -> list[Group]:
    """Return the groups of rejected lines, the largest first; after `MOST_GROUPS` the rest makes one.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    key = (RejectedLine.format_id, RejectedLine.reason, RejectedLine.source_id)
    query = select(*key, func.count(), func.min(RejectedLine.line_start)).where(*_conditions(scope))
    groups: dict[tuple[str, MadeBy], Group] = {}
    with reading(engine) as connection:
        formats = format_names(connection)
        streamed = connection.execution_options(yield_per=ROWS_AT_ONCE)
        for format_id, reason, source_id, count, start in streamed.execute(query.group_by(*key)):
            name = (signature(reason), _made_by(formats, format_id))
            if name not in groups and len(groups) >= MOST_GROUPS:
                name = (OTHER, None)
            group = groups.setdefault(name, Group(*name, 0, (source_id, start)))
            group.count += count
            group.first = min(group.first, (source_id, start))
        for group in groups.values():
            group.example = next(_rejections(connection, *_place(group.first)))
    return sorted(groups.values(), key=lambda group: (-group.count, group.signature, group.first))


def listed(engine: Engine, scope: Scope, words: str) -> Iterator[Rejection]:
    """Yield the rejected lines whose signature holds these words, in the order of sources and bytes.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        for found in _rejections(connection, *_conditions(scope)):
            if words in signature(found.reason):
                yield found


def _conditions(scope: Scope) -> list[ColumnElement[bool]]:
    conditions = []
    if scope.since is not None:
        conditions.append(RejectedLine.stored_on >= scope.since)
    if scope.source_id is not None:
        conditions.append(RejectedLine.source_id == scope.source_id)
    return conditions


def _place(place: tuple[int, int]) -> list[ColumnElement[bool]]:
    return [RejectedLine.source_id == place[0], RejectedLine.line_start == place[1]]


def _made_by(formats: Mapping[int, tuple[str, int]], format_id: int | None) -> MadeBy:
    return None if format_id is None else formats.get(format_id)


def _rejections(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[Rejection]:
    query = select(
        RejectedLine.source_id,
        Source.path,
        RejectedLine.line_start,
        RejectedLine.format_id,
        RejectedLine.position,
        RejectedLine.reason,
        RejectedLine.line,
        RejectedLine.raw,
    ).join(Source, Source.id == RejectedLine.source_id)
    formats = format_names(connection)
    streamed = connection.execution_options(yield_per=ROWS_AT_ONCE)
    ordered = query.where(*conditions).order_by(RejectedLine.source_id, RejectedLine.line_start)
    for source_id, path, start, format_id, position, reason, line, raw in streamed.execute(ordered):
        content = lines.original(line, raw).removesuffix(b"\n")
        yield Rejection(source_id, path, start, _made_by(formats, format_id), position, reason, content)
