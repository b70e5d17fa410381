"""A format whose next version reads some lines otherwise, and a source that the old one has read."""

import dataclasses
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, text

from db.cleaned import Choice
from db.engine import reading
from db.replay import Tally, replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import RejectedLine
from pipeline.formats.base import Format, Group
from pipeline.formats.fields import common_time
from pipeline.formats.ncsa import COMBINED

KEY = "ef" * 16
SOURCE = Source(KEY, "web-1", "/log", format="combined")
Hook = Callable[[bytes], None]
#: Puts a format in the place of the built-in one of its name.
SetFormat = Callable[[Format], None]


def line(path: str, agent: str = "agent", day: int = 17) -> bytes:
    """Return a log line of the combined format."""
    time = f"{day}/May/2015:10:05:03 +0000"
    return f'203.0.113.9 - - [{time}] "GET {path} HTTP/1.1" 200 1 "-" "{agent}"\n'.encode()


#: The changed format parses the day that is none, and refuses one day that is.
FIRST = line("/one") + line("/late", day=32) + b"no log line!\n"
SECOND = line("/two", "second") + line("/bad", "refuse", day=13)
#: The version of the changed format.
RAISED = COMBINED.version + 1
BLOCKS = (FIRST, SECOND)
SIZE = len(FIRST) + len(SECOND)


def raised(hook: Hook | None = None) -> Format:
    """Return the next version of the combined format, which calls the hook with each new agent."""

    def agent(field: bytes) -> tuple[str]:
        if hook:
            hook(field)
        return (field.decode().upper(),)

    def time(field: bytes) -> tuple[Any, ...]:
        if field.startswith(b"13/"):
            raise RejectedLine("refused day", 0)
        return common_time(field.replace(b"32/", b"31/"))

    changed = {"user_agent": agent, "time": time}
    groups = [Group(g.name, g.columns, changed.get(g.name, g.convert)) for g in COMBINED.groups]
    return dataclasses.replace(COMBINED, version=RAISED, groups=tuple(groups))


def failing(agent: bytes) -> None:
    """Fail at an agent of the second segment: a hook.

    Raises:
        RuntimeError: it is that one.
    """
    if agent == b"second":
        raise RuntimeError("no one foresaw this")


def store(engine: Engine, stages: tuple[Any, ...] = (LakeStore, CleanStore), source: Source = SOURCE) -> None:
    """Store the blocks in stages, a segment each."""
    for stage in stages:
        start = 0
        for block in BLOCKS:
            stage(engine).store(Batch(source, start, block))
            start += len(block)


def replayed(engine: Engine, choice: Choice | None = None) -> Tally:
    """Replay the only source."""
    return replay(engine, list_sources(engine)[0], choice or Choice())


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    """Return every record and rejected line, but for its day and its number of the format."""
    columns = "r.line_start, f.name, f.version"
    join = "JOIN formats f ON f.id = r.format_id"
    records = f"SELECT {columns}, r.timestamp, r.path, r.user_agent FROM clean_records r {join}"
    rejected = f"SELECT {columns}, r.position, r.reason, r.line FROM rejected_lines r {join}"
    with reading(engine) as connection:
        return [tuple(row) for query in (records, rejected) for row in connection.execute(text(query))]


def agents(engine: Engine) -> list[str]:
    """Return the agents of the records in the order of the file."""
    with reading(engine) as connection:
        return list(connection.scalars(text("SELECT user_agent FROM clean_records ORDER BY line_start")))


def segments(engine: Engine) -> list[tuple[Any, ...]]:
    """Return the counts of the clean segments in order, with the format's version."""
    query = """
        SELECT s.line_count, s.record_count, s.rejected_count, f.name, f.version
        FROM segments s JOIN formats f ON f.id = s.format_id WHERE stage = 'clean' ORDER BY start_offset
    """
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]
