"""How long a line that is appended to a growing file takes until both stages have committed it."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bench import figures
from bench.deployment import STALLED_SECONDS, Deployment
from bench.report import Report
from bench.sides import side
from db.engine import reading
from db.models import Segment
from pipeline import generate
from pipeline.cli import output
from pipeline.errors import PipelineError
from pipeline.topology import Stage

#: Lines appended each second, and for how many seconds; the first second warms up and does not count.
RATE, APPEND_SECONDS, WARM_SECONDS = 1000, 20, 1
#: Seconds between two looks at the ledger: what they add to each figure at most.
LOOK_SECONDS = 0.005


@dataclass
class Appends:
    """What was appended, line by line: the byte after each line, and the moment it was written."""

    ends: list[int] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def write(self, path: Path, lines: Iterator[bytes]) -> None:
        """Append the lines one by one at the rate, each with a write of its own."""
        began, position = time.monotonic(), 0
        with path.open("ab", buffering=0) as file:
            for number, line in enumerate(lines):
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                position += len(line)
                self.ends.append(position)
                self.moments.append(time.monotonic())
                file.write(line)
        self.done.set()


@dataclass
class Frontier:
    """Up to which byte each stage has stored all, and when it got there."""

    reached: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))
    steps: dict[Stage, list[tuple[float, int]]] = field(default_factory=lambda: {s: [] for s in Stage})

    def look(self, deployment: Deployment) -> None:
        """Read the segments that are new and note how far they reach without a gap."""
        query = (
            select(Segment.stage, Segment.start_offset, Segment.end_offset)
            .where(Segment.end_offset > min(self.reached.values()))
            .order_by(Segment.start_offset)
        )
        with reading(deployment.engine) as connection:
            rows = connection.execute(query).all()
        self.advance(time.monotonic(), [(Stage(name), start, end) for name, start, end in rows])

    def advance(self, now: float, segments: Sequence[tuple[Stage, int, int]]) -> None:
        """Take segments in order of their start, as they are at a moment."""
        before = dict(self.reached)
        for stage, start, end in segments:
            if start <= self.reached[stage] < end:
                self.reached[stage] = end
        for stage, end in self.reached.items():
            if end != before[stage]:
                self.steps[stage].append((now, end))


def waits(appends: Appends, steps: Sequence[tuple[float, int]]) -> list[float]:
    """Return for each appended line the seconds until a step reached its end."""
    found, position = [], 0
    for end, moment in zip(appends.ends, appends.moments, strict=True):
        while steps[position][1] < end:
            position += 1
        found.append(steps[position][0] - moment)
    return found


def latency(*, embedded: bool = False) -> Report:
    """Append lines at a steady rate to a file that is watched, and report the waits of all.

    Raises:
        PipelineError: lines were appended and never stored.
    """
    with side(embedded=embedded) as (where, folder), where.deployed() as deployment:
        path = folder / "growing.log"
        path.touch()
        deployment.watch(path)
        output.say(f"appending {RATE} lines/s for {APPEND_SECONDS} s")
        appends, frontier = Appends(), Frontier()
        lines = generate.generate_lines(RATE * APPEND_SECONDS, 2)
        writer = threading.Thread(target=appends.write, args=(path, lines), daemon=True)
        writer.start()
        _follow(deployment, appends, frontier)
    stages = {stage: waits(appends, frontier.steps[stage])[RATE * WARM_SECONDS :] for stage in Stage}
    return _report("latency embedded" if embedded else "latency", stages)


def _follow(deployment: Deployment, appends: Appends, frontier: Frontier) -> None:
    deadline = time.monotonic() + APPEND_SECONDS + STALLED_SECONDS
    while not appends.done.is_set() or min(frontier.reached.values()) < appends.ends[-1]:
        frontier.look(deployment)
        time.sleep(LOOK_SECONDS)
        if time.monotonic() > deadline:
            raise PipelineError(f"lines are not stored after {STALLED_SECONDS:g} s")


def _report(name: str, stages: dict[Stage, list[float]]) -> Report:
    both = [max(pair) for pair in zip(*stages.values(), strict=True)]
    rows = {"both": both, **{stage.value: values for stage, values in stages.items()}}
    table = [[label, *(round(ms) for ms in milliseconds(values).values())] for label, values in rows.items()]
    values: dict[str, Any] = {"lines_per_second": RATE, "lines": len(both)}
    values |= {f"{label}_ms": milliseconds(times) for label, times in rows.items()}
    bars = [
        (f"{label} {key}", ms) for label, times in rows.items() for key, ms in milliseconds(times).items()
    ]
    heads = ["ms until committed", *milliseconds(both)]
    note = f"{len(both):,} lines appended at {RATE} lines/s, looked at every {LOOK_SECONDS * 1e3:g} ms"
    return Report(name, values, heads, table, bars, "milliseconds from the append to the commit", [note])


def milliseconds(values: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and largest of seconds, in milliseconds."""
    figures_ = (statistics.median(values), figures.percentile(values, 0.99), max(values))
    return {name: round(s * 1000, 1) for name, s in zip(("median", "p99", "max"), figures_, strict=True)}
