"""The slow way into clean_records, after a value was refused: set its line apart, keep the rest."""

from typing import Any

from db.faults import ValuesRefused, translated
from db.lanes import Tables
from db.load import Loader, Part, Shape
from pipeline.formats.line import Piece
from pipeline.formats.parse import ParsedBlock, Rejected


def load_carefully(
    loader: Loader, tables: Tables, part: Part, shape: Shape, parsed: Piece[Any]
) -> list[Rejected]:
    """Load the accepted lines by halves, each behind a savepoint; return those that the database refuses."""
    if not parsed.record_count:
        return []
    try:
        with translated(), tables.connection.begin_nested():
            loader.load_records(tables, shape, [loader.records(part, shape, parsed)])
    except ValuesRefused as error:
        if parsed.record_count == 1:
            return [_rejected(part, parsed.starts[0], str(error))]
    else:
        return []
    middle = parsed.record_count // 2
    halves = _cut(parsed, 0, middle), _cut(parsed, middle, parsed.record_count)
    return [line for half in halves for line in load_carefully(loader, tables, part, shape, half)]


def _cut(parsed: Piece[Any], low: int, high: int) -> ParsedBlock[Any]:
    return ParsedBlock(parsed.starts[low:high], [list(column[low:high]) for column in parsed.groups], [])


def _rejected(part: Part, start: int, reason: str) -> Rejected:
    end = part.block.find(b"\n", start)
    return Rejected(start, part.block[start : end if end >= 0 else None], reason, None)
