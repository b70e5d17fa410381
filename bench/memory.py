"""How much memory each process takes: while a log is stored as it is read, and with a backlog."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import figures
from bench.figures import Run
from bench.report import Report
from bench.sides import Sample, Side, make_sample, side, stream
from pipeline.cli import output

#: What no process of the pipeline should exceed, in MiB.
GOAL_MIB = 200


def memory(lines: int, backlog_lines: int, *, embedded: bool = False) -> Report:
    """Report the largest process of each group, for both cases.

    The backlog is published whole while no pool runs, and stored then.

    Raises:
        PipelineError: a server or a child could not do its part.
    """
    with side(embedded=embedded) as (where, folder):
        sample = make_sample(folder, lines)
        output.say("streaming them")
        streamed = where.pipeline(sample)
        long = _repeated(sample, folder / "backlog.log", max(1, backlog_lines // lines))
        output.say(f"publishing a backlog of {output.size(long.size)} without pools, then storing it")
        queued = _backlog(where, long)
    return _report("memory embedded" if embedded else "memory", streamed, queued, long)


def _repeated(sample: Sample, path: Path, times: int) -> Sample:
    with path.open("wb") as file:
        for _ in range(times):
            with sample.path.open("rb") as part:
                shutil.copyfileobj(part, file, 1 << 20)
    return Sample(path, sample.lines * times, sample.size * times)


def _backlog(where: Side, sample: Sample) -> Run:
    with where.deployed(pools=False) as deployment:
        # Peaks are the kernel's, of each process since its start: publishing is in them.
        deployment.queue(sample.path, sample.size)
        deployment.start_pools()
        return stream(deployment, sample, where.roots(), watch=False)


def _report(name: str, streamed: Run, queued: Run, long: Sample) -> Report:
    peaks = {"stream": figures.peak_mib([streamed]), "backlog": figures.peak_mib([queued])}
    groups = sorted(peaks["stream"].keys() | peaks["backlog"].keys())
    rows = [[group, *(round(peak.get(group, 0.0)) for peak in peaks.values())] for group in groups]
    values: dict[str, Any] = {
        "lines": streamed.lines,
        "backlog_bytes": long.size,
        "stream_peak_mib": _rounded(peaks["stream"]),
        "backlog_peak_mib": _rounded(peaks["backlog"]),
        "goal_mib": GOAL_MIB,
    }
    bars = [
        (f"{group}, {case}", peak[group]) for group in groups for case, peak in peaks.items() if group in peak
    ]
    note = (
        f"{streamed.lines:,} lines streamed; a backlog of {output.size(long.size)} queued whole, then stored"
    )
    return Report(name, values, ["largest process, MiB", *peaks], rows, bars, "MiB, largest process", [note])


def _rounded(peaks: Mapping[str, float]) -> dict[str, float]:
    return {name: round(peak, 1) for name, peak in peaks.items()}
