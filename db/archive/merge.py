"""A part of an archive into a database that lives: the lake's bytes, stored again by both stages.

The ledger decides: what is there already stays and is not stored twice, bytes that contradict it are kept
apart as a conflict. Lines are parsed by today's formats and counted as stored today.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import product

from sqlalchemy import Engine

from db import lines
from db.archive.container import Archive, ArchiveDamaged
from db.archive.restore import require_known
from db.archive.tables import NULL, blob, columns_of, tables_of, text
from db.ledger import LAKE, Range, complement
from db.removals import Removal
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.errors import ConfigurationError


@dataclass(slots=True)
class Merged:
    """What a part gave, both stages together: bytes stored now, before, and with other bytes before."""

    segments: int = 0
    new_bytes: int = 0
    known_bytes: int = 0
    conflict_bytes: int = 0


@dataclass(slots=True)
class _Wanted:
    """A segment of the lake in the archive, and those of its lines that came by so far.

    `removed` are the ranges of it that were removed before the archive was made, in the order of removing;
    `checksum` and `line_count` are of what they left.
    """

    source_id: int
    start: int
    end: int
    checksum: bytes
    line_count: int
    removed: list[Range] = field(default_factory=list)
    lines: list[tuple[int, bytes]] = field(default_factory=list)


def merge(
    engine: Engine,
    archive: Archive,
    source: str | None,
    day: date | None,
    enrichment: Enrichment = NOTHING,
) -> Merged:
    """Store what a verified archive's lake holds of a source, of a day (UTC) of storing, or of both.

    `source` is an id, a key or a path as the archive knows it. Stopped half-way, a second call goes on.

    Raises:
        ConfigurationError: the archive has no such source, or several; or its schema is not known.
        ArchiveDamaged: lines of a segment are missing; what came before it is stored.
        DatabaseUnavailable: what came before is stored.
    """
    require_known(archive)
    sources = _sources(archive, source)
    merged = Merged()
    stores = (LakeStore(engine), CleanStore(engine, enrichment))
    for wanted, blocks in _blocks(archive, _wanted(archive, sources, day)):
        merged.segments += 1
        for store, (start, block) in product(stores, blocks):
            stored = store.store(Batch(sources[wanted.source_id], start, block))
            merged.new_bytes += stored.new_bytes
            merged.known_bytes += stored.known_bytes
            merged.conflict_bytes += stored.conflict_bytes
    return merged


def _sources(archive: Archive, chosen: str | None) -> dict[int, Source]:
    found = {
        int(row["id"]): source
        for row in _rows(archive, "sources")
        for source in (_source(row),)
        if chosen in (None, row["id"], source.key, source.path)
    }
    if chosen is not None and len(found) != 1:
        ids = ", ".join(map(str, found)) or "none"
        raise ConfigurationError(f"--source {chosen}: of the archive's sources these have it: {ids}")
    return found


def _source(row: dict[str, str]) -> Source:
    key, host, path = (text(row[name]) or "" for name in ("key", "host", "path"))
    # Stored as signed numbers with the same bits.
    device, inode = (int(row[name]) % (1 << 64) for name in ("device", "inode"))
    return Source(key, host, path, device, inode, int(row["generation"]), text(row["format"]) or "auto")


def _rows(archive: Archive, table: str) -> Iterator[dict[str, str]]:
    columns = columns_of(archive, table)
    return (dict(zip(columns, fields, strict=True)) for fields in archive.rows(table))


def _wanted(archive: Archive, sources: dict[int, Source], day: date | None) -> dict[int, list[_Wanted]]:
    wanted: dict[int, list[_Wanted]] = {source_id: [] for source_id in sources}
    for row in _rows(archive, "segments"):
        source_id = int(row["source_id"])
        if row["stage"] != LAKE or source_id not in wanted:
            continue
        if day is None or row["stored_at"].startswith(day.isoformat()):
            bounds = int(row["start_offset"]), int(row["end_offset"])
            segment = _Wanted(source_id, *bounds, blob(row["checksum"]), int(row["line_count"]))
            wanted[source_id].append(segment)
    for segments in wanted.values():
        segments.sort(key=lambda segment: segment.start)
    if Removal.__tablename__ in tables_of(archive):
        _without_removed(archive, wanted)
    return wanted


def _without_removed(archive: Archive, wanted: dict[int, list[_Wanted]]) -> None:
    """Note what was removed of the wanted segments, and drop those of which nothing is left."""
    rows = [row for row in _rows(archive, Removal.__tablename__) if row["stage"] == LAKE]
    for row in sorted(rows, key=lambda row: int(row["id"])):
        segments = wanted.get(int(row["source_id"]), [])
        low, high = int(row["start_offset"]), int(row["end_offset"])
        for index in range(bisect_right(segments, low, key=lambda s: s.end), len(segments)):
            segment = segments[index]
            if segment.start >= high:
                break
            segment.removed.append((max(low, segment.start), min(high, segment.end)))
            segment.line_count -= int(row["line_count"])
            if row["rest_checksum"] != NULL:
                segment.checksum = blob(row["rest_checksum"])
    for source_id, segments in wanted.items():
        wanted[source_id] = [s for s in segments if complement(sorted(s.removed), s.start, s.end)]


def _blocks(
    archive: Archive, wanted: dict[int, list[_Wanted]]
) -> Iterator[tuple[_Wanted, list[tuple[int, bytes]]]]:
    """Yield each wanted segment with place and bytes of its parts as soon as its last line came by.

    Lines of a lane lie in the order of storing: in memory are as many segments as were being stored at once.
    """
    starts = {source_id: [segment.start for segment in segments] for source_id, segments in wanted.items()}
    place = [
        columns_of(archive, "raw_logs").index(name) for name in ("source_id", "line_start", "line", "raw")
    ]
    open_count = sum(map(len, wanted.values()))
    for fields in archive.rows("raw_logs"):
        source_id, start, line, raw = (fields[index] for index in place)
        segment = _holding(wanted.get(int(source_id), []), starts.get(int(source_id), []), int(start))
        if segment is None:
            continue
        original = lines.original(text(line) or "", None if raw == NULL else blob(raw))
        segment.lines.append((int(start), original))
        if len(segment.lines) == segment.line_count:
            open_count -= 1
            yield segment, _joined(archive, segment)
    if open_count:
        raise ArchiveDamaged(f"{archive.path}: {open_count} segments lack lines of the lake")


def _holding(segments: list[_Wanted], starts: list[int], start: int) -> _Wanted | None:
    index = bisect_right(starts, start) - 1
    return segments[index] if index >= 0 and start < segments[index].end else None


def _joined(archive: Archive, segment: _Wanted) -> list[tuple[int, bytes]]:
    lines_ = sorted(segment.lines)
    block = b"".join(line for _, line in lines_)
    segment.lines = []
    if hashlib.sha256(block).digest() != segment.checksum:
        raise ArchiveDamaged(
            f"{archive.path}: bytes of source {segment.source_id} at {segment.start} are not those stored"
        )
    parts = complement(sorted(segment.removed), segment.start, segment.end)
    return [(low, b"".join(line for start, line in lines_ if low <= start < high)) for low, high in parts]
