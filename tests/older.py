"""A database after an update: what it holds was read by an older version of a format."""

import dataclasses
from typing import Any

import pytest
from sqlalchemy import Engine

from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS
from pipeline.formats.base import Format, Group
from pipeline.formats.fields import common_time
from pipeline.formats.ncsa import COMBINED
from pipeline.generate import generate_lines

SOURCE = Source("ab" * 16, "web-1", "/log")


def blocks(segments: int, lines: int) -> list[bytes]:
    """Return blocks of so many lines each, some of them hostile."""
    return [b"".join(generate_lines(lines, seed=number, broken=0.05)) for number in range(segments)]


def older() -> Format:
    """Return a version before today's, which refuses every odd second and writes agents in small letters."""

    def time(field: bytes) -> tuple[Any, ...]:
        if field[19:20] in b"13579":
            raise RejectedLine("unknown to the older version", 0)
        return common_time(field)

    changed = {"user_agent": lambda field: (field.decode(errors="replace").lower(),), "time": time}
    groups = [Group(g.name, g.columns, changed.get(g.name, g.convert)) for g in COMBINED.groups]
    return dataclasses.replace(COMBINED, version=COMBINED.version - 1, groups=tuple(groups))


def store(engine: Engine, content: list[bytes]) -> None:
    """Store blocks in both stages, a segment each."""
    start = 0
    for block in content:
        for stage in (LakeStore, CleanStore):
            stage(engine).store(Batch(SOURCE, start, block))
        start += len(block)


def store_by_older(engine: Engine, content: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Store blocks in both stages, read by the older version."""
    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, COMBINED.name, older())
        store(engine, content)
