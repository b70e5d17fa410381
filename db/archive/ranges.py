"""Which archives hold lines of some ranges: what a person makes anew after an erasure."""

from collections.abc import Iterator, Mapping, Sequence

from db.archive.container import Archive
from db.archive.tables import columns_of, tables_of, text
from db.ledger import Range, complement
from db.removals import Removal

#: Ranges in order by source key.
Ranges = Mapping[str, Sequence[Range]]


def holds_any(archive: Archive, ranges: Ranges) -> bool:
    """Return whether an archive holds a line of these ranges in a stage.

    Raises:
        ConfigurationError: its schema is not known.
        ArchiveDamaged: it cannot be read.
    """
    keys = {row["id"]: text(row["key"]) or "" for row in _rows(archive, "sources")}
    gone: dict[tuple[str, str], list[Range]] = {}
    if Removal.__tablename__ in tables_of(archive):
        for row in _rows(archive, Removal.__tablename__):
            gone.setdefault((row["source_id"], row["stage"]), []).append(_range(row))
    for row in _rows(archive, "segments"):
        taken = sorted(gone.get((row["source_id"], row["stage"]), []))
        if any(
            complement(taken, *part) for part in _shared(ranges.get(keys[row["source_id"]], ()), _range(row))
        ):
            return True
    return False


def _rows(archive: Archive, table: str) -> Iterator[dict[str, str]]:
    columns = columns_of(archive, table)
    return (dict(zip(columns, fields, strict=True)) for fields in archive.rows(table))


def _range(row: Mapping[str, str]) -> Range:
    return int(row["start_offset"]), int(row["end_offset"])


def _shared(ranges: Sequence[Range], segment: Range) -> Iterator[Range]:
    for start, end in ranges:
        low, high = max(start, segment[0]), min(end, segment[1])
        if low < high:
            yield low, high
