"""`status`: the sources, how far each is, and what waits in the queues."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from sqlalchemy import Engine, func, select

from db.alerting import unsent
from db.drifts import count_noticed
from db.engine import reading
from db.findings import count_open
from db.models import Segment
from db.sources import SourceRow, list_sources, path_text
from db.watches import watched
from pipeline.checkpoint import SourceStatus, read_status
from pipeline.cli import live, options, output
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import open_database
from pipeline.depths import queue_depths
from pipeline.errors import ConfigurationError, PipelineError
from pipeline.settings import Settings
from pipeline.topology import Stage

T = TypeVar("T")

#: Columns of the table of sources; `--json` has the same keys.
COLUMNS = (
    "id",
    "path",
    "size",
    "offset",
    "lag_bytes",
    "lag_seconds",
    "lost_bytes",
    "lake_bytes",
    "clean_bytes",
    "state",
)
#: What the rates are taken over, in seconds, and the most segments looked at for them.
RATE_SECONDS, RATE_SEGMENTS = 60, 20_000
#: What the watch found longer ago, in seconds, says nothing of now: it does not run, or cannot look.
WATCH_AGE_SECONDS = 60
#: Drifts that were noticed in the last so many hours are counted.
DRIFT_HOURS = 24
#: What is said of drifts and open findings where the database does not answer.
NOTHING_TOLD: dict[str, Any] = {"drifts": 0, "findings": {}, "unsent": {}}
#: State of a source that the database knows and this state folder does not: another machine's, or an old one.
ELSEWHERE = "elsewhere"


@click.command("status")
@click.option("--watch", "is_live", is_flag=True, help="Show it live, until q or Ctrl-C.")
@options.common
def command(is_live: bool, as_json: bool) -> int:
    """Show each source with its confirmed offset, lag and stored bytes, and each queue with its depth.

    What does not answer, and what beat's watch over exchange, queues and bindings found wrong in the last
    minute, is named, and the exit code is 1; the rest is shown.
    """
    settings = options.settings()
    if is_live:
        if as_json:
            raise ConfigurationError("--watch draws on a terminal: leave --json out, or ask without --watch")
        live.watch(settings)
        return OK
    problems: list[str] = []
    local = _try(lambda: read_status(settings.state_dir), problems) or []
    stored, rates, told = _try(lambda: _stored(settings), problems) or ([], {}, {**NOTHING_TOLD})
    problems += [f"alerts wait: {problem}" for problem in told.pop("unsent").values()]
    probes = _try(lambda: _watched(settings, problems), problems) if rates else None
    depths = _try(lambda: queue_depths(settings), problems) or {}
    sources = _sources(local, stored)
    queues = {name: depth._asdict() for name, depth in depths.items()}
    if as_json:
        answer = {"sources": sources, "queues": queues, "lines_per_second": rates, "problems": problems}
        output.emit_json(answer | {"probe_age_seconds": probes or {}} | told)
    else:
        _show(sources, queues, rates)
        _show_told(**told)
    for problem in problems:
        output.complain(problem)
    return FAILED if problems else OK


def _try(question: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return question()
    except PipelineError as error:
        problems.append(str(error))
        return None


def _stored(settings: Settings) -> tuple[list[SourceRow], dict[str, float], dict[str, Any]]:
    since = datetime.now(UTC) - timedelta(hours=DRIFT_HOURS)
    with open_database(settings) as engine:
        told = {
            "drifts": count_noticed(engine, since),
            "findings": count_open(engine),
            "unsent": unsent(engine),
        }
        return list_sources(engine), _rates(engine), told


def _show_told(drifts: int, findings: Mapping[str, int]) -> None:
    if drifts:
        print(f"drifts noticed in the last {DRIFT_HOURS} h: {drifts}, see python -m pipeline drift")
    if findings:
        counts = ", ".join(f"{count} {severity}" for severity, count in findings.items())
        print(f"open findings: {counts}, see python -m pipeline findings --open")


def _watched(settings: Settings, problems: list[str]) -> dict[str, float]:
    """Add what the watch found wrong lately; return how long ago the last probe of each queue arrived."""
    now = datetime.now(UTC)
    with open_database(settings) as engine:
        found = watched(engine).values()
    fresh = now - timedelta(seconds=WATCH_AGE_SECONDS)
    problems += [f"{row.name} {row.problem}" for row in found if row.problem and row.checked_at >= fresh]
    return {row.name: round((now - row.seen_at).total_seconds(), 1) for row in found if row.seen_at}


def _rates(engine: Engine) -> dict[str, float]:
    """Return the lines per second that each stage stored lately."""
    # The newest segments by their key: an index on the time would cost each batch, for this question alone.
    newest = select(Segment).order_by(Segment.id.desc()).limit(RATE_SEGMENTS).subquery()
    since = datetime.now(UTC) - timedelta(seconds=RATE_SECONDS)
    query = (
        select(newest.c.stage, func.sum(newest.c.line_count))
        .where(newest.c.stored_at >= since)
        .group_by(newest.c.stage)
    )
    with reading(engine) as connection:
        counts = {stage: int(count) for stage, count in connection.execute(query)}
    return {stage.value: round(counts.get(stage, 0) / RATE_SECONDS, 1) for stage in Stage}


def _sources(local: Sequence[SourceStatus], stored: Sequence[SourceRow]) -> list[dict[str, Any]]:
    rows = {row.key: row for row in stored}
    here = [_source(rows.pop(status.key, None), status) for status in local]
    return here + [_source(row, None) for row in rows.values()]


def _source(row: SourceRow | None, status: SourceStatus | None) -> dict[str, Any]:
    known = {"state": ELSEWHERE} if status is None else {**asdict(status), "path": path_text(status.path)}
    if row is not None:
        known |= {"id": row.id, "lake_bytes": int(row.lake_bytes), "clean_bytes": int(row.clean_bytes)}
        known.setdefault("path", row.path)
    return {column: known.get(column) for column in COLUMNS}


def _show(
    sources: Sequence[dict[str, Any]], queues: Mapping[str, Mapping[str, int]], rates: Mapping[str, float]
) -> None:
    print(output.table(COLUMNS, [tuple(source.values()) for source in sources]))
    print()
    depths = [(name, *depth.values()) for name, depth in queues.items()]
    print(output.table(("queue", "messages", "dead"), depths))
    print()
    print(
        f"lines/s in the last {RATE_SECONDS} s: "
        + ", ".join(f"{stage} {rate}" for stage, rate in rates.items())
    )
