"""A source's bytes from the lake."""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, func, literal, select
from sqlalchemy.dialects import postgresql

from db import ledger, lines
from db.engine import reading
from db.ledger import LAKE
from db.models import RawLog
from db.removals import Place, RangeRemoved, removed_ranges
from db.summaries import prefer_summaries, summarise
from pipeline.errors import PermanentError


class LakeGap(PermanentError):  # noqa: N818 - named as the other outcomes are
    """The lake does not hold every byte of the range.

    Attributes:
        missing: the ranges that it does not hold, in order.
    """

    def __init__(self, source_id: int, missing: list[ledger.Range]) -> None:
        named = ", ".join(f"[{low}, {high})" for low, high in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""  # noqa: PLR2004 - enough to read
        super().__init__(f"source {source_id}: bytes {named}{more} are not in the lake")
        self.missing = missing


#: Most bytes of one piece that stands for removed ones.
BLANK_BYTES = 1 << 20


def rebuild(
    engine: Engine, source_id: int, start: int = 0, end: int | None = None, *, blank: bool = False
) -> Iterator[bytes]:
    """Yield the bytes [start, end) of a source in order; `end` None is the end of what the lake holds.

    A piece is at most one segment, so memory is bounded by the largest batch, whatever the source's size.
    With `blank` a removed range is one line of blanks of its length, so that all others keep their places.

    Raises:
        LakeGap: before the first piece, if a byte of the range is missing in the ledger; at its place, if
            the rows of a segment are not its bytes.
        RangeRemoved: before the first piece, if a part was removed and is not to be blank.
        DatabaseUnavailable: the database does not answer.
    """
    place = Place(source_id, LAKE)
    with reading(engine) as connection:
        stop = ledger.stored_end(connection, source_id, LAKE) if end is None else end
        missing = [(max(low, start), high) for low, high in ledger.gaps(connection, source_id, LAKE, stop)]
        if missing := [(low, high) for low, high in missing if low < high]:
            raise LakeGap(source_id, missing)
        removed = removed_ranges(connection, place, start, stop)
    if removed and not blank:
        raise RangeRemoved(place, removed, "the source cannot be rebuilt whole; see --blank-removed")
    position = start
    for reached, piece in held_pieces(engine, source_id, start, stop):
        yield from _blanks(reached - position)
        yield piece
        position = reached + len(piece)
    yield from _blanks(stop - position)


def _blanks(size: int) -> Iterator[bytes]:
    """Yield a line of blanks of so many bytes."""
    while size > 0:
        part = min(size, BLANK_BYTES)
        size -= part
        yield b" " * part if size else b" " * (part - 1) + b"\n"


def held_pieces(engine: Engine, source_id: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield place and bytes of what the lake holds of [start, end), as `pieces`; nobody's view is held open.

    Raises:
        LakeGap: at its place, if the rows of a segment are not its bytes.
        DatabaseUnavailable: the database does not answer.
    """
    summarise(engine)
    while start < end:
        # A transaction for each piece: whoever takes the bytes may be slow, and would hold the view open.
        with reading(engine) as connection:
            found = next(pieces(connection, source_id, start, end), None)
        if found is None:
            return
        yield found
        start = found[0] + len(found[1])


def pieces(connection: Connection, source_id: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield place and bytes of what the lake holds of [start, end), with nothing for what it lacks.

    A piece is one segment, or what is left of it between removed parts.

    Raises:
        LakeGap: rows of a segment are missing or doubled: nothing of it can be placed.
    """
    prefer_summaries(connection)
    while start < end:
        segment = ledger.first_overlapping(connection, source_id, LAKE, start, end)
        if segment is None:
            return
        removed = removed_ranges(connection, Place(source_id, LAKE), segment.start, segment.end)
        for low, high in ledger.complement(removed, segment.start, segment.end):
            if low < end and high > start:
                held = segment_bytes(connection, source_id, low, high)
                if len(held) != high - low:
                    raise LakeGap(source_id, [(segment.start, segment.end)])
                yield max(start, low), held[max(start - low, 0) : end - low]
        # A removed range may reach over any number of segments.
        start = max([segment.end, *(high for _, high in removed)])


def segment_bytes(connection: Connection, source_id: int, start: int, end: int) -> bytes:
    """Return the bytes of the lake's rows that start in [start, end), bounds of segments or lines."""
    if connection.dialect.name == "postgresql":
        plain = _plain_bytes(connection, source_id, start, end)
        if plain is not None:
            return plain
    query = (
        select(RawLog.line, RawLog.raw)
        .where(RawLog.within(source_id, start, end))
        .order_by(RawLog.line_start)
    )
    return b"".join(lines.original(line, raw) for line, raw in connection.execute(query))


def _plain_bytes(connection: Connection, source_id: int, start: int, end: int) -> bytes | None:
    """Return such bytes if each line is its own text, joined by the server: half the time of a row a line."""
    joined = func.string_agg(RawLog.line, postgresql.aggregate_order_by(literal("\n"), RawLog.line_start))
    query = select(joined, func.count(RawLog.raw)).where(RawLog.within(source_id, start, end))
    text, others = connection.execute(query).one()
    return None if text is None or others else f"{text}\n".encode()


def held_bytes(connection: Connection, source_id: int, start: int, end: int) -> bytes | None:
    """Return the bytes [start, end), or None if the lake does not hold them all."""
    try:
        held = b"".join(piece for _, piece in pieces(connection, source_id, start, end))
    except LakeGap:
        return None
    return held if len(held) == end - start else None
