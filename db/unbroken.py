"""Whether the chain is what was sealed: segments, seals and signatures compared, and heads kept elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest

from sqlalchemy import Connection, Engine, select

from db.chain import MARK_BYTES, Link, Sealed, first_link, is_signed, last_link, marks_of
from db.engine import reading
from db.models import Source
from db.seals import Seal, links_of, sealed
from db.unfounded import unfounded


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal of a source: kept elsewhere, it shows whether everything was rewritten.

    `key` is the source's; `hash` stands for every segment before byte `end`.
    """

    key: str
    path: str
    number: int
    end: int
    hash: str
    sealed_at: datetime
    is_signed: bool


@dataclass(frozen=True, slots=True)
class Break:
    """Something that is not what was sealed: bytes [start, end) of a source, and what is wrong."""

    key: str
    path: str
    start: int
    end: int
    what: str


@dataclass(slots=True)
class ChainReport:
    """What the chain says.

    Attributes:
        sealed_bytes: over all sources.
        heads: the last seal of each source that has one.
        breaks: none if everything is as it was sealed.
    """

    sealed_bytes: int = 0
    heads: list[Head] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)


#: End and hash (hexadecimal) of heads that were kept elsewhere, by the key of their source.
Kept = Mapping[str, Sequence[tuple[int, str]]]


def verify(engine: Engine, keys: Sequence[bytes] = (), kept: Kept | None = None) -> ChainReport:
    """Return what the chain of every source says, a seal at a time in memory.

    With keys the last seal of each source must be signed by one of them. Each head of `kept` must still be
    a seal of its source. Rows that were removed must have a reason: an erasure has a receipt, and retention
    takes nothing younger than the shortest rule.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    report = ChainReport()
    expected = dict(kept or {})
    with reading(engine) as connection:
        sources = connection.execute(select(Source.id, Source.key, Source.path).order_by(Source.id)).all()
        for id_, key, path in sources:
            _Source(connection, id_, key, path, report).run(keys, expected.pop(key, []))
        names = {id_: (key, path) for id_, key, path in sources}
        for removed in unfounded(connection):
            key, path = names[removed.source_id]
            report.breaks.append(Break(key, path, removed.start, removed.end, removed.what))
    for key, heads in expected.items():
        report.breaks += [Break(key, "", 0, end, "the source of a kept head is gone") for end, _ in heads]
    return report


class _Source:
    """The chain of one source."""

    def __init__(
        self, connection: Connection, source_id: int, key: str, path: str, report: ChainReport
    ) -> None:
        self._connection = connection
        self._id, self._key, self._path = source_id, key, path
        self._report = report

    def run(self, keys: Sequence[bytes], kept: Sequence[tuple[int, str]]) -> None:
        link, position, number = first_link(self._key), 0, 0
        seen: set[tuple[int, str]] = set()
        last: Seal | None = None
        for last in self._seals():
            number += 1
            if (last.number, last.start_offset) != (number, position):
                self._break(position, last.start_offset, f"seal {number} is gone or altered")
            link = self._seal(sealed(last), link)
            position, number = last.end_offset, last.number
            seen.add((last.end_offset, last.hash.hex()))
        if last is not None:
            self._head(last, keys)
        for end, hash_ in kept:
            if (end, hash_) not in seen:
                self._break(0, end, f"the kept head {hash_} is no seal of it")

    def _seals(self) -> Iterator[Seal]:
        query = select(*Seal.__table__.columns).where(Seal.source_id == self._id).order_by(Seal.number)
        for row in self._connection.execution_options(yield_per=10).execute(query).mappings():
            yield Seal(**row)

    def _seal(self, seal: Sealed, before: bytes) -> bytes:
        """Compare the segments under a seal with it; return the link that the next one goes on from."""
        links = links_of(self._connection, self._id, seal.start, seal.end)
        leaves = [link.leaf for link in links]
        found = last_link(before, leaves)
        if marks_of(leaves) == seal.marks:
            if found != seal.hash:
                self._break(seal.start, seal.end, f"seal {seal.number} is altered")
            return found
        if found == seal.hash:
            self._break(seal.start, seal.end, f"the marks of seal {seal.number} are altered")
            return found
        self._segments(seal, links, leaves)
        return seal.hash

    def _segments(self, seal: Sealed, links: Sequence[Link], leaves: Sequence[bytes]) -> None:
        """Name the segments that are not those under a seal."""
        marks = [seal.marks[at : at + MARK_BYTES] for at in range(0, len(seal.marks), MARK_BYTES)]
        if len(marks) != len(links):
            what = f"{len(links)} segments and not the {len(marks)} under seal {seal.number}"
            self._break(seal.start, seal.end, what)
            return
        for link, leaf, mark in zip_longest(links, leaves, marks):
            if leaf[:MARK_BYTES] != mark:
                self._break(link.start, link.end, f"the segment is not the one under seal {seal.number}")

    def _head(self, last: Seal, keys: Sequence[bytes]) -> None:
        signed = is_signed(self._key, sealed(last), last.signature, keys)
        if keys and not signed:
            what = "was signed by none of these keys, or altered" if last.signature else "is not signed"
            self._break(last.start_offset, last.end_offset, f"seal {last.number}, the last one, {what}")
        end, hash_ = last.end_offset, last.hash.hex()
        self._report.sealed_bytes += end
        self._report.heads.append(
            Head(self._key, self._path, last.number, end, hash_, last.sealed_at, signed)
        )

    def _break(self, start: int, end: int, what: str) -> None:
        self._report.breaks.append(Break(self._key, self._path, start, end, what))
