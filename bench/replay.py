"""How fast the lake is read again, beside the first ingestion of the same lines into the clean stage."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice

from sqlalchemy import Engine

from bench.figures import spread
from bench.nodes import ServiceMissing
from bench.postgres import PrivatePostgres
from bench.report import Report
from bench.servers import DURABILITY, database, scratch
from db import counting, schema
from db.cleaned import Choice
from db.engine import make_engine
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import output
from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS
from pipeline.formats.ncsa import COMBINED
from pipeline.generate import generate_blocks

#: Generated lists of lines in one batch: as many as fit into 4 MiB.
LISTS = 3
#: What is measured in each round, in this order; behind the first one the records are counted, as by beat.
FIRST, SAME, OTHER = "first ingestion", "replay", "replay, other agents"


def replays(lines: int, runs: int, *, embedded: bool = False) -> Report:
    """Store a source of so many lines in each round, and read it again twice; all in one database.

    Raises:
        ConfigurationError: PostgreSQL is not installed.
    """
    with _engine(embedded=embedded) as engine:
        rounds = []
        for number in range(runs):
            rounds.append(measure(engine, lines, number))
            output.say(", ".join(f"{name} {speed:.0f} lines/s" for name, speed in rounds[-1].items()))
    ratios = {name: [each[name] / each[FIRST] for each in rounds] for name in (SAME, OTHER)}
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    return Report(
        "replay embedded" if embedded else "replay",
        {
            "lines": lines,
            "runs": runs,
            "lines_per_second": {name: round(speed) for name, speed in medians.items()},
            "ratio": {name: round(statistics.median(values), 3) for name, values in ratios.items()},
            "ratio_spread": {name: [round(v, 3) for v in spread(values)] for name, values in ratios.items()},
        },
        ["what", "lines/s", "to the first ingestion"],
        [
            [name, round(speed), f"{statistics.median(ratios[name]):.2f}" if name in ratios else "1"]
            for name, speed in medians.items()
        ],
        list(medians.items()),
        "lines per second",
        [
            f"{runs} rounds of {lines:,} lines into one database; ratios within a round",
            "records are counted; the second replay is of a version that reads every agent otherwise",
        ],
    )


@contextmanager
def _engine(*, embedded: bool) -> Iterator[Engine]:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        if embedded:
            url = f"sqlite:///{folder / 'replay.db'}"
        else:
            try:
                postgres = stack.enter_context(PrivatePostgres(folder / "postgres", **DURABILITY))
            except ServiceMissing as missing:
                raise ConfigurationError(f"{missing}; `bench --embedded` needs no server") from missing
            url = stack.enter_context(database(postgres, "replay"))
        schema.upgrade(url)
        engine = make_engine(url)
        stack.callback(engine.dispose)
        yield engine


def measure(engine: Engine, lines: int, number: int) -> dict[str, float]:
    """Store and read again a source with this number; return the lines per second of each."""
    key = f"{number:032x}"
    batches = list(_batches(Source(key, "bench", f"/{number}.log", format="combined"), lines, number))
    lake, clean = LakeStore(engine), CleanStore(engine)
    for batch in batches:
        lake.store(batch)

    def ingest() -> None:
        for batch in batches:
            clean.store(batch)

    found = {FIRST: lines / _seconds(ingest)}
    counting.count(engine)
    (source,) = (row for row in list_sources(engine) if row.key == key)
    found[SAME] = lines / _seconds(lambda: replay(engine, source, Choice(redo=True)))
    with _risen():
        found[OTHER] = lines / _seconds(lambda: replay(engine, source, Choice(risen=True)))
    return found


@contextmanager
def _risen() -> Iterator[None]:
    """Put a next version in the place of the format, which reads agents in capital letters."""
    changed = {"user_agent": lambda field: (field.decode(errors="replace").upper(),)}
    groups = [replace(each, convert=changed.get(each.name, each.convert)) for each in COMBINED.groups]
    FORMATS[COMBINED.name] = replace(COMBINED, version=COMBINED.version + 1, groups=tuple(groups))
    try:
        yield
    finally:
        FORMATS[COMBINED.name] = COMBINED


def _batches(source: Source, lines: int, seed: int) -> Iterator[Batch]:
    start, blocks = 0, map(b"".join, generate_blocks(lines, seed=seed))
    while block := b"".join(islice(blocks, LISTS)):
        yield Batch(source, start, block)
        start += len(block)


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
