"""Sources of segments that are counted, and what the counts hold."""

import json
import random
from typing import Any

from sqlalchemy import Engine, select, text

from db.cleaned import Choice
from db.engine import reading
from db.ledger import CLEAN
from db.models import Segment
from db.replay import Tally, replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines

COMBINED_SOURCE = Source("ab" * 16, "web-1", "/a.log", format="combined")
JSON_SOURCE = Source("cd" * 16, "web-1", "/a.json", format="json")
REDO = Choice(redo=True)


def store_blocks(engine: Engine, source: Source, *blocks: bytes) -> None:
    """Store blocks in both stages, a segment each."""
    start = 0
    for block in blocks:
        for stage in (LakeStore, CleanStore):
            stage(engine).store(Batch(source, start, block))
        start += len(block)


def combined(seed: int, count: int = 120) -> bytes:
    """Return generated lines, some of which do not parse."""
    return b"".join(generate_lines(count, seed=seed, broken=0.1))


def requests(seed: int, **fixed: Any) -> bytes:
    """Return lines of JSON that say how long they took, some of one minute, some of other days."""
    rng, lines = random.Random(seed), []
    for number in range(80):
        each = {
            "time": f"2026-01-0{1 + number % 3}T22:0{rng.randrange(4)}:00Z",
            "remote_addr": f"203.0.113.{rng.randrange(60)}", "method": rng.choice(["GET", "PUT"]),
            "path": f"/{rng.randrange(5)}", "status": rng.choice([200, 204, 404, 503]),
            "bytes": rng.randrange(5000), "host": rng.choice(["a.example", "b.example"]),
            "user_agent": rng.choice(["x", "y"]), "request_time": rng.lognormvariate(-2, 1.5),
        }  # fmt: skip
        lines.append(json.dumps(each | fixed).encode() + b"\n")
    return b"".join(lines)


def ledger(engine: Engine) -> list[tuple[bool, bool]]:
    """Return of each clean segment whether it is counted, and whether it has a tally."""
    query = select(Segment.is_counted, Segment.tally.is_not(None)).where(Segment.stage == CLEAN)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(query.order_by(Segment.id))]


def rows_of_counts(engine: Engine) -> dict[str, int]:
    """Return how many rows each table of counts has."""
    tables = ("traffic_minutes", "traffic_days", "traffic_latencies", "traffic_visitors")
    with reading(engine) as connection:
        return {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in tables}


def hits(engine: Engine) -> int:
    """Return the hits in the counts."""
    with reading(engine) as connection:
        return int(connection.scalar(text("SELECT sum(hits) FROM traffic_minutes")) or 0)


def read_again(engine: Engine, choice: Choice = REDO, number: int = 0) -> Tally:
    """Replay a source."""
    return replay(engine, list_sources(engine)[number], choice)
