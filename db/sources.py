"""Sources and formats in the database: their numbers, found once and remembered."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.engine import reading
from db.ledger import CLEAN, LAKE
from db.lines import readable
from db.models import Format, Segment, Source
from pipeline import batch
from pipeline.formats.line import LogFormat

#: Sources that one process remembers before it starts anew: some MiB.
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """What the database holds of a source; `path` as text, `format` None until one is recognised."""

    id: int
    path: str
    format: str | None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as people and repair see it; stored bytes per stage come from the ledger."""

    id: int
    key: str
    host: str
    path: str
    device: int
    inode: int
    generation: int
    format: str | None
    first_seen_at: datetime
    lake_bytes: int
    clean_bytes: int


class Catalogue:
    """The numbers of sources and formats; what a transaction finds counts once `keep` was called after it."""

    def __init__(self) -> None:
        self._sources: dict[str, Known] = {}
        self._formats: dict[tuple[str, int], int] = {}
        self._new_sources: dict[str, Known] = {}
        self._new_formats: dict[tuple[str, int], int] = {}

    def source(self, connection: Connection, source: batch.Source) -> Known:
        """Return a source, added or with its newest path where that is new."""
        known = self.known(source)
        if known is None:
            known = _stored_source(connection, source, path_text(source.path))
            self._new_sources[source.key] = known
        return known

    def known(self, source: batch.Source) -> Known | None:
        """Return a source as it is remembered, None where the database has to be asked."""
        known = self._sources.get(source.key)
        return known if known is not None and known.path == path_text(source.path) else None

    def known_format_id(self, format_: LogFormat) -> int | None:
        """Return the number of a format's version as it is remembered."""
        return self._formats.get((format_.name, format_.version))

    def recognise(self, connection: Connection, source: batch.Source, known: Known, name: str) -> str:
        """Remember the format of a source; return the one that stands, if another batch was first."""
        mine = update(Source).where(Source.id == known.id, Source.format.is_(None)).values(format=name)
        connection.execute(mine)
        stands = connection.execute(select(Source.format).where(Source.id == known.id)).scalar_one() or name
        self._new_sources[source.key] = Known(known.id, known.path, stands)
        return stands

    def format_id(self, connection: Connection, format_: LogFormat) -> int:
        """Return the number of a format's version, added where it is new."""
        key = (format_.name, format_.version)
        number = self.known_format_id(format_)
        if number is None:
            number = _found_or_added(connection, Format, {"name": key[0], "version": key[1]})
            self._new_formats[key] = number
        return number

    def forget(self) -> None:
        """Drop what was found since the last `keep`: the transaction did not commit."""
        self._new_sources.clear()
        self._new_formats.clear()

    def keep(self) -> None:
        """Keep what was found: the transaction is committed."""
        if len(self._sources) >= MOST_REMEMBERED:
            self._sources.clear()
        self._sources |= self._new_sources
        self._formats |= self._new_formats
        self.forget()


def path_text(path: str) -> str:
    r"""Return a path as text for the database: bytes of a file name that are not UTF-8 become `\xHH`."""
    return readable(os.fsencode(path))


def _stored_source(connection: Connection, source: batch.Source, path: str) -> Known:
    values = {
        "host": readable(source.host.encode(errors="surrogateescape")),
        "path": path,
        "device": source.device,
        "inode": source.inode,
        "generation": source.generation,
        "format": None if source.format == "auto" else source.format,
        "first_seen_at": datetime.now(UTC),
    }
    id_ = _found_or_added(connection, Source, {"key": source.key}, values)
    connection.execute(update(Source).where(Source.id == id_, Source.path != path).values(path=path))
    format_ = connection.execute(select(Source.format).where(Source.id == id_)).scalar_one()
    return Known(id_, path, format_)


def _found_or_added(
    connection: Connection,
    model: type[Source | Format],
    key: dict[str, Any],
    values: dict[str, Any] | None = None,
) -> int:
    # Looked up first: an INSERT that meets a conflict uses a number up each time, and formats have few.
    lookup = select(model.id).filter_by(**key)
    found = connection.execute(lookup).scalar()
    if found is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(model).on_conflict_do_nothing()
        connection.execute(statement, {**key, **(values or {})})
        found = connection.execute(lookup).scalar_one()
    return found


def list_sources(engine: Engine) -> list[SourceRow]:
    """Return every source in the order in which they were first seen, with its stored bytes per stage."""
    lake, clean = (_stored_bytes(stage) for stage in (LAKE, CLEAN))
    query = select(
        Source.id,
        Source.key,
        Source.host,
        Source.path,
        Source.device,
        Source.inode,
        Source.generation,
        Source.format,
        Source.first_seen_at,
        lake,
        clean,
    ).order_by(Source.id)
    with reading(engine) as connection:
        return [SourceRow(*row) for row in connection.execute(query)]


def _stored_bytes(stage: str) -> Any:
    size = func.coalesce(func.sum(Segment.end_offset - Segment.start_offset), 0)
    query = select(size).where(Segment.source_id == Source.id, Segment.stage == stage)
    return query.scalar_subquery()
