"""What a second child of the clean pool brings, and whether writers wait for each other meanwhile."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import kombu

from bench import figures
from bench.deployment import environment
from bench.figures import Run
from bench.report import Report
from bench.servers import Servers, scratch, servers
from bench.sides import OnServers, Sample, make_sample, stream
from bench.waits import LOOK_SECONDS, WaitMeter, Waits
from pipeline.cli import output
from pipeline.topology import LIVE_QUEUES, Stage


@dataclass(frozen=True)
class Case:
    """Which pools take a queued log, and how many children the clean pool has."""

    name: str
    children: int
    stages: tuple[Stage, ...]


class Taken(NamedTuple):
    """One run of a case."""

    run: Run
    waits: Waits


ONE = Case("clean -c 1", 1, (Stage.CLEAN,))
TWO = Case("clean -c 2", 2, (Stage.CLEAN,))
BOTH = Case("clean -c 2, lake -c 1", 2, (Stage.CLEAN, Stage.LAKE))
CASES = (ONE, TWO, BOTH)
COUNTS = ("looks", "busy", "lock", "not_granted", "latch", "deadlocks")
HEADS = (
    *("", "lines/s", "slowest", "fastest", "CPU s/million lines"),
    *("looks", "two busy", "lock", "not granted", "latch", "deadlocks"),
)


def scaling(lines: int, runs: int) -> Report:
    """Queue a log, then measure how fast the pools of each case store it, `runs` times in turn.

    Raises:
        PipelineError: a server or a child could not do its part.
    """
    taken: dict[Case, list[Taken]] = {case: [] for case in CASES}
    with scratch() as folder, servers() as own:
        sample = make_sample(folder, lines)
        for number in range(1, runs + 1):
            for case in CASES:
                taken[case].append(_take(own, folder, case, sample))
                speed = taken[case][-1].run.lines_per_second
                output.say(f"run {number} of {runs}, {case.name}: {speed:,.0f} lines/s")
    return _report(taken)


def _take(own: Servers, folder: Path, case: Case, sample: Sample) -> Taken:
    where = OnServers(own, folder)
    children = environment({"SLUICE_CLEAN_CONCURRENCY": str(case.children)})
    with children, where.deployed(pools=False) as deployment:
        deployment.queue(sample.path, sample.size)
        deployment.stop_watcher()
        deployment.start_pools(case.stages)
        with WaitMeter(deployment.settings.database_url.get_secret_value()) as meter:
            run = stream(deployment, sample, where.roots(), watch=False, stages=case.stages)
    _purge(own.rabbit.url)
    return Taken(run, meter.waits)


def _purge(broker_url: str) -> None:
    """Take away what a case left in the queue of the stage that it did not run."""
    with kombu.Connection(broker_url) as connection, connection.channel() as channel:
        for queue in LIVE_QUEUES:
            queue(channel).purge()


def _report(taken: Mapping[Case, Sequence[Taken]]) -> Report:
    runs = {case: [each.run for each in all_] for case, all_ in taken.items()}
    waits = {case: sum((each.waits for each in all_), Waits()) for case, all_ in taken.items()}
    ratios = figures.pair_ratios(runs[TWO], runs[ONE])
    values: dict[str, Any] = {
        "lines": runs[ONE][0].lines,
        "runs": len(runs[ONE]),
        "lines_per_second": {case.name: round(figures.median_speed(each)) for case, each in runs.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(ratio, 3) for ratio in figures.spread(ratios)],
        "cpu_seconds_per_million": {
            case.name: round(figures.median_cpu(each), 2) for case, each in runs.items()
        },
        "waits": {
            case.name: {name: getattr(found, name) for name in (*COUNTS, "waiting")}
            for case, found in waits.items()
        },
    }
    rows = [
        [
            case.name,
            round(figures.median_speed(runs[case])),
            *map(round, figures.spread([run.lines_per_second for run in runs[case]])),
            round(figures.median_cpu(runs[case]), 1),
            *(getattr(waits[case], name) for name in COUNTS),
        ]
        for case in taken
    ]
    bars = [(name, float(speed)) for name, speed in values["lines_per_second"].items()]
    return Report("scaling", values, HEADS, rows, bars, "lines per second of a queued log", _notes(values))


def _notes(values: dict[str, Any]) -> list[str]:
    low, high = values["ratio_spread"]
    waiting = [
        f"{case}, waited for a lock: {what}, {count} looks"
        for case, found in values["waits"].items()
        for what, count in found["waiting"].items()
    ]
    return [
        f"{values['lines']:,} lines queued before the pools start, {values['runs']} runs in turn, medians",
        f"clean -c 2 against clean -c 1: {values['ratio']} ({low} to {high})",
        f"looks at the sessions every {LOOK_SECONDS * 1000:g} ms, over all runs; how many found two busy,",
        "one waiting for a lock of another, a lock asked for and not granted, one waiting for a latch inside",
        *(waiting or ["no session waited for a lock of another"]),
    ]
