"""Lines with a subject between others, erased, and what is left of them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, text

from db.audit import audit
from db.conflicts import conflict_block
from db.engine import reading
from db.erasure import Erased, erase
from db.erasure_search import Search
from db.models import Base, Conflict
from db.rebuild import rebuild
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.subject import Kind, readable, subject

SOURCE = Source("ab" * 16, "web-1", "/log/a", format="combined")

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

USER = subject(Kind.USER, "jane.doe")
STAGES = (LakeStore, CleanStore)


def line(user: str = "-", path: str = "/", agent: str = "x", ip: str = "198.51.100.7") -> bytes:
    """Return a line of the combined format."""
    head = f'{ip} - {user} [01/Mar/2023:00:00:09 +0000] "GET {path} HTTP/1.1" 200 12'
    return f'{head} "-" "{agent}"\n'.encode()


#: Lines with the subject, by how they hold it, between others that only look alike.
OWN = [
    line("jane.doe"),
    line(path="/users/jane.doe/photo"),
    line(agent="jane.doe's browser"),
    b"no request by jane.doe\n",
    line("jane.doe", path="/caf\xe9".encode("latin-1").decode("latin-1")).replace("é".encode(), b"\xe9"),
]
ALIKE = [line("jane.doe2"), line(path="/mary-jane.doer"), b"no request\n", line("ann"), line("bob")]
MIXED = [part for pair in zip(ALIKE, OWN, strict=True) for part in pair]
STARTS = [sum(map(len, MIXED[:number])) for number in range(len(MIXED) + 1)]


def store(engine: Engine, block: bytes, start: int = 0, source: Source = SOURCE, stages: Any = STAGES) -> int:
    """Store a block; return how many of its bytes were new."""
    return sum(stage(engine).store(Batch(source, start, block)).new_bytes for stage in stages)


def erased(engine: Engine, who: Any = USER, **search: Any) -> Erased:
    """Erase a subject."""
    return erase(engine, Search(who, **search), uuid.uuid4(), NOW)


def values(engine: Engine, query: str) -> list[Any]:
    """Return the values of one column."""
    with reading(engine) as connection:
        return list(connection.scalars(text(query)))


def everything(engine: Engine) -> str:
    """Return every value of every table as text, blocks of conflicts unpacked."""
    found: list[bytes] = []
    with reading(engine) as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(table.select()):
                if table.name == Conflict.__tablename__:
                    found.append(conflict_block(Conflict(**row._mapping)))
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return readable(b"\0".join(found))


def held(engine: Engine, source_id: int = 1) -> list[bytes]:
    """Return the lines that the lake holds of a source, erased ones left out."""
    whole = b"".join(rebuild(engine, source_id, blank=True))
    return [found for found in whole.splitlines(keepends=True) if found.strip()]


def is_true(engine: Engine, end: int | None = None) -> bool:
    """Return whether plain and deep audits find nothing."""
    offsets = None if end is None else {SOURCE.key: end}
    return audit(engine, offsets).complete and audit(engine, offsets, deep=True).complete
