"""What the system says of itself: the flow, the sources, what was set apart."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.report import cells, words
from pipeline.report.axis import Axis
from pipeline.report.blocks import (
    Block,
    Cell,
    Entries,
    Entry,
    Figure,
    Grid,
    Journey,
    Note,
    Section,
    State,
    Stop,
)
from pipeline.report.cells import visible
from pipeline.report.chart import Frame, Series, lines
from pipeline.report.figures import Figures, Period, Trouble, rows
from pipeline.report.traffic import legend, table_of
from pipeline.topology import LOGS, Stage

#: Seconds over which the rates are taken.
RATE_SECONDS = 60
#: What the plot of the load shows, and one bin of it.
LOAD, LOAD_STEP = timedelta(minutes=10), timedelta(seconds=10)
#: Bytes that are missing for so many seconds are no longer on their way.
LATE_SECONDS = 60
#: The table that each stage fills.
TABLES = {Stage.LAKE: "raw_logs", Stage.CLEAN: "clean_logs"}


def flow(figures: Figures, now: datetime) -> Section:
    """Return the stations from the files to the tables with what each has in hand, and the load of late."""
    queues = {row["queue"]: row for row in rows(figures, "queues")}
    missing = {row["stage"]: row for row in rows(figures, "missing")}
    steps = [
        [_watcher(figures)],
        [_exchange(figures)],
        [_queue(figures, stage.queue_name, queues.get(stage.queue_name)) for stage in Stage],
        [_table(figures, stage, missing.get(stage.value), now) for stage in Stage],
    ]
    blocks: list[Block] = [Journey(steps), _load(figures, now)]
    blocks += [Note(message, State.BAD) for message in _troubles(figures)]
    return Section("flow", "Flow", blocks, is_wide=True)


def _troubles(figures: Figures) -> list[str]:
    """Return why stations have no answer, each reason once."""
    found = (figures.get(part) for part in ("queues", "watched", "watches", "missing", "rates"))
    return list(dict.fromkeys(each.message for each in found if isinstance(each, Trouble)))


def _or_trouble(figures: Figures, part: str, block: Block) -> Block:
    """Return a block, or why the part that it shows has no answer."""
    found = figures.get(part)
    return Note(found.message, State.WARN) if isinstance(found, Trouble) else block


def _watcher(figures: Figures) -> Stop:
    followed = rows(figures, "watched")
    lag = sum(row["lag_bytes"] for row in followed)
    oldest = max((row["lag_seconds"] for row in followed), default=0.0)
    lost = sum(row["lost_bytes"] for row in followed)
    facts = [("sources", words.count(len(followed))), ("lag", words.size(lag))]
    facts.append(("oldest unread", words.seconds(oldest) if lag else "none"))
    if lost:
        facts.append(("lost", words.size(lost)))
    if not followed:
        facts = [("sources", "none on this machine")]
    return Stop("watcher", "reads files", facts, State.BAD if lost else State.PLAIN)


def _exchange(figures: Figures) -> Stop:
    problems = [row for row in rows(figures, "watches") if row["problem"]]
    facts = [("topology", f"{len(problems)} problems" if problems else "as it should be")]
    facts += [(visible(row["name"]), visible(row["problem"])) for row in problems]
    state = State.BAD if problems else State.PLAIN
    if not rows(figures, "watches"):
        facts = [("topology", "not watched")]
    return Stop(f"exchange {LOGS.name}", "one publish, confirmed", facts, state)


def _queue(figures: Figures, name: str, depth: Mapping[str, Any] | None) -> Stop:
    if depth is None:
        known = isinstance(figures.get("queues"), Trouble)
        return Stop(name, "queue", [("state", "does not answer" if known else "not asked")], State.BAD)
    facts = [("depth", words.count(depth["messages"])), ("dead letters", words.count(depth["dead"]))]
    return Stop(name, "queue", facts, State.WARN if depth["dead"] else State.GOOD)


def _table(figures: Figures, stage: Stage, missing: Mapping[str, Any] | None, now: datetime) -> Stop:
    if missing is None:
        return Stop(TABLES[stage], f"{stage.value} stage", [("state", "does not answer")], State.BAD)
    facts = [
        ("lines/s", f"{_rate(figures, stage, now):,.1f}"),
        ("stored", words.size(missing["stored_bytes"])),
        ("missing", words.size(missing["missing_bytes"])),
    ]
    if missing["missing_bytes"]:
        facts.append(("oldest missing", words.seconds(missing["oldest_seconds"])))
    late = missing["oldest_seconds"] > LATE_SECONDS and missing["missing_bytes"]
    return Stop(TABLES[stage], f"{stage.value} stage", facts, State.BAD if late else State.GOOD)


def _rate(figures: Figures, stage: Stage, now: datetime) -> float:
    since = now - timedelta(seconds=RATE_SECONDS)
    found = (
        row["lines"] for row in rows(figures, "rates") if row["stage"] == stage and row["second"] >= since
    )
    return float(sum(found)) / RATE_SECONDS


def _load(figures: Figures, now: datetime) -> Figure:
    axis = Axis(Period(now - LOAD, now), LOAD_STEP)
    bins = axis.bins()
    stored = {stage.value: [0.0] * len(bins) for stage in Stage}
    for row in rows(figures, "rates"):
        number = axis.bin(row["second"])
        if 0 <= number < len(bins):
            stored[row["stage"]][number] += row["lines"] / LOAD_STEP.total_seconds()
    series = [Series(f"{stage} stage", f"stage-{stage}", values) for stage, values in stored.items()]
    title = "Lines stored each second, last ten minutes"
    return Figure(title, lines(Frame(title, axis), series), legend(series), table_of(title, bins, series))


def sources(figures: Figures) -> Section:
    """Return the sources, how far each is read and stored, and whether anything is missing."""
    here = {row["key"]: row for row in rows(figures, "watched")}
    stored = rows(figures, "sources")
    known = {row["key"] for row in stored}
    lines = [_source(row, here.get(row["key"])) for row in stored]
    lines += [_source(row, row) for key, row in here.items() if key not in known]
    heads = ("path", "id", "host", "format", "lag", "lake", "clean", "state", "audit")
    grid = Grid("Every source", heads, lines, empty="No source has been read yet.")
    return Section("sources", "Sources", [_or_trouble(figures, "sources", grid)], is_wide=True)


def _source(row: Mapping[str, Any], here: Mapping[str, Any] | None) -> list[Cell]:
    lake, clean = (int(row.get(f"{stage}_bytes", 0) or 0) for stage in ("lake", "clean"))
    confirmed = here["offset"] if here else 0
    gap = max(confirmed, lake, clean) - min(lake, clean)
    return [
        cells.text(row["path"]),
        Cell(str(row.get("id", cells.UNKNOWN)), is_number=True),
        cells.text(row.get("host")),
        cells.text(row.get("format")),
        cells.said(words.size(here["lag_bytes"]) if here else cells.UNKNOWN),
        cells.said(words.size(lake)),
        cells.said(words.size(clean)),
        Cell(str(here["state"]) if here else "elsewhere"),
        Cell(f"{words.size(gap)} missing", state=State.WARN) if gap else Cell("complete", state=State.GOOD),
    ]


def rejected(figures: Figures) -> Section:
    """Return the rejected lines by signature, each with its first line."""
    entries = [
        (
            None,
            Entry(
                title=f"{words.count(row['count'])} times: {visible(row['signature'])}",
                facts=(
                    f"format {visible(row['format'])}",
                    f"first in {visible(row['path'])}, byte {visible(row['line_start'])}",
                    visible(row["reason"]),
                ),
                lines=() if row["line"] is None else (visible(row["line"]),),
                state=State.WARN,
            ),
        )
        for row in rows(figures, "rejected")
    ]
    return Section(
        "rejected",
        "Rejected lines",
        [_or_trouble(figures, "rejected", Entries(entries, empty="No line was rejected."))],
    )


def dead_letters(figures: Figures) -> Section:
    """Return the dead letters by signature."""
    entries = [
        (
            None,
            Entry(
                title=f"{words.count(row['count'])} times: {visible(row['signature'])}",
                facts=(row["queue"], visible(row["reason"]), *_carried(row)),
                state=State.BAD,
            ),
        )
        for row in rows(figures, "dead")
    ]
    return Section(
        "dead",
        "Dead letters",
        [_or_trouble(figures, "dead", Entries(entries, empty="No message was given up."))],
    )


def _carried(row: Mapping[str, Any]) -> list[str]:
    if row["path"] is None:
        return ["the first carries no batch that this version can read"]
    return [f"the first: bytes {row['start']} to {row['end']} of {visible(row['path'])}"]
