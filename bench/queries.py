"""How long the named questions of reports take on a table of many lines, cold and warm."""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from bench.meter import Meter
from bench.nodes import ServiceMissing
from bench.postgres import PrivatePostgres
from bench.report import Report
from bench.servers import DURABILITY, database, scratch
from db import counting, schema
from db.counted import Scope
from db.engine import make_engine, transaction
from db.queries import BY_MINUTES, QUERIES, answer
from db.store import CleanStore
from db.summaries import summarise
from pipeline.batch import Batch, Source
from pipeline.cli import output
from pipeline.errors import ConfigurationError
from pipeline.generate import TRAFFIC, generate_blocks

#: Lines that go through the clean stage; the rest are copies of them, later in time, made by the server.
STORED_LINES = 500_000
#: By how much more time the lines may take than by their mean rate, so that none lies ahead.
MARGIN = 0.02
#: Times that a question is asked again once its pages are in memory; the fastest counts.
WARM_RUNS = 3
_SHIFTED = {
    "clean_records": {"line_start": "line_start + :bytes", "timestamp": '"timestamp" + :span'},
    "segments": {
        "id": "nextval(pg_get_serial_sequence('segments', 'id'))",
        "start_offset": "start_offset + :bytes",
        "end_offset": "end_offset + :bytes",
        # It tells of the times before they were shifted: the copies are counted by SQL.
        "tally": "NULL",
    },
}


def queries(lines: int) -> Report:
    """Fill the clean tables of a PostgreSQL of our own and ask each named question of all lines and of a day.

    Raises:
        ConfigurationError: PostgreSQL is not installed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        try:
            postgres = stack.enter_context(PrivatePostgres(folder / "postgres", **DURABILITY))
        except ServiceMissing as missing:
            raise ConfigurationError(str(missing)) from missing
        url = stack.enter_context(database(postgres, "queries"))
        schema.upgrade(url)
        engine = make_engine(url, statement_seconds=0)
        stack.callback(engine.dispose)
        scopes = fill(engine, lines)
        counting = count(postgres, engine)
        rows = [_ask(postgres, engine, name, scopes) for name in QUERIES]
    return _report(lines, rows, counting)


def count(postgres: PrivatePostgres, engine: Engine) -> float:
    """Count all lines for reports, as beat does as they come; return processor seconds per million lines."""
    output.say("counting them, as beat does as they come")
    with Meter(lambda: {"postgresql": postgres.child.pid if postgres.child else None}) as meter:
        counting.count(engine)
    _vacuum(engine)
    with transaction(engine) as connection:
        lines = connection.execute(text("SELECT sum(hits) FROM traffic_minutes")).scalar_one()
    return meter.usage.total_cpu_seconds * 1e6 / int(lines)


def fill(engine: Engine, lines: int, stored_lines: int = STORED_LINES) -> dict[str, Scope]:
    """Store about so many lines, up to today; return the scope of all of them and that of their last day.

    The first `stored_lines` go through the clean stage, their copies follow without a gap in bytes and time.
    """
    stored, now = min(lines, stored_lines), datetime.now(UTC)
    length = timedelta(seconds=lines / statistics.mean(TRAFFIC) * (1 + MARGIN))
    start = (now - length).replace(minute=0, second=0, microsecond=0)
    output.say(f"storing {stored} lines")
    size, store, source = 0, CleanStore(engine), Source("ab" * 16, "bench", "/sample.log", format="combined")
    for block in map(b"".join, generate_blocks(stored, seed=1, start=start)):
        store.store(Batch(source, size, block))
        size += len(block)
    with transaction(engine) as connection:
        last: datetime = connection.execute(text('SELECT max("timestamp") FROM clean_records')).scalar_one()
    span = last - start + timedelta(seconds=1)
    copies = -(-lines // stored) - 1
    for number in range(1, copies + 1):
        output.say(f"copying them, {number} of {copies}")
        _copy(engine, size, number, span)
    output.say("summaries and statistics")
    summarise(engine)
    _vacuum(engine)
    end = start + span * (copies + 1)
    # What goes by the time of storing happened just now.
    whole = Scope(start, max(end, datetime.now(UTC)) + timedelta(hours=1))
    return {"all": whole, "day": Scope(max(end - timedelta(days=1), start), end)}


def _vacuum(engine: Engine) -> None:
    """Leave rows that are gone and statistics as autovacuum does, whose next round may be a minute away."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _copy(engine: Engine, size: int, number: int, span: timedelta) -> None:
    values = {"bytes": size * number, "span": span * number, "size": size}
    with transaction(engine) as connection:
        for table, shifted in _SHIFTED.items():
            place = "start_offset" if table == "segments" else "line_start"
            query = "SELECT column_name FROM information_schema.columns WHERE table_name = :table"
            names = list(connection.execute(text(query), {"table": table}).scalars())
            columns = ", ".join(f'"{name}"' for name in names)
            made = ", ".join(shifted.get(name, f'"{name}"') for name in names)
            connection.execute(
                text(f"INSERT INTO {table} ({columns}) SELECT {made} FROM {table} WHERE {place} < :size"),  # noqa: S608 - our names
                values,
            )


def _ask(
    postgres: PrivatePostgres, engine: Engine, name: str, scopes: dict[str, Scope]
) -> tuple[str, dict[str, float]]:
    output.say(f"asking {name}")
    seconds: dict[str, float] = {}
    for label, scope in scopes.items():
        if label != "day" and name in BY_MINUTES:
            continue
        engine.dispose()
        postgres.stop()
        _forget(postgres.folder)
        postgres.start()
        seconds[f"{label}_cold"] = _timed(engine, name, scope)
        seconds[f"{label}_warm"] = min(_timed(engine, name, scope) for _ in range(WARM_RUNS))
    return name, seconds


def _timed(engine: Engine, name: str, scope: Scope) -> float:
    with engine.connect():
        pass  # connecting is no part of the question
    began = time.monotonic()
    answer(engine, name, scope)
    return time.monotonic() - began


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _forget(folder: Path) -> None:
    """Let the system forget the pages of the files in a folder, and of no others."""
    os.sync()
    for path in _files(folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _report(lines: int, rows: list[tuple[str, dict[str, float]]], counting: float) -> Report:
    labels = list(dict.fromkeys(label for _, seconds in rows for label in seconds))
    return Report(
        "queries",
        {
            "lines": lines,
            "seconds": {name: {k: round(v, 3) for k, v in s.items()} for name, s in rows},
            "counting_cpu_seconds_per_million": round(counting, 2),
        },
        ["question", *(label.replace("_", ", ") for label in labels)],
        [[name, *(f"{s[label]:.3f}" if label in s else "" for label in labels)] for name, s in rows],
        [(name, seconds["all_warm"]) for name, seconds in rows if "all_warm" in seconds],
        f"seconds on {lines:,} lines, warm",
        [
            "seconds; cold is a server just started, with none of its files in memory",
            "what minutes answer is asked about a day: reports ask about an hour",
            f"counting, by beat beforehand: {counting:.2f} s of processor time per million lines",
        ],
    )
