"""Runs, and what is said about several of them: median, spread, ratio."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.meter import Usage

_MILLION = 1_000_000


@dataclass(frozen=True)
class Run:
    """One measurement.

    Attributes:
        lines: lines loaded into both tables.
        seconds: of the clock.
        usage: processor time and memory.
        stored_bytes: size of each table afterwards, its indexes included.
    """

    lines: int
    seconds: float
    usage: Usage
    stored_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def lines_per_second(self) -> float:
        """Lines in both tables per second of the clock."""
        return self.lines / self.seconds

    @property
    def cpu_seconds_per_million(self) -> float:
        """Processor seconds of all measured processes per million lines."""
        return self.usage.total_cpu_seconds * _MILLION / self.lines


def median_speed(runs: Sequence[Run]) -> float:
    """Return the median of the runs in lines per second."""
    return statistics.median(run.lines_per_second for run in runs)


def median_cpu(runs: Sequence[Run]) -> float:
    """Return the median of the runs in processor seconds per million lines."""
    return statistics.median(run.cpu_seconds_per_million for run in runs)


def median_group_cpu(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median of each group in processor seconds per million lines."""
    return {
        name: statistics.median(run.usage.cpu_seconds.get(name, 0.0) * _MILLION / run.lines for run in runs)
        for name in runs[0].usage.cpu_seconds
    }


def peak_mib(runs: Sequence[Run]) -> dict[str, float]:
    """Return the largest resident memory of one process of each group over the runs, in MiB."""
    names = {name for run in runs for name in run.usage.peak_bytes}
    peaks = {name: max(run.usage.peak_bytes.get(name, 0) for run in runs) for name in sorted(names)}
    return {name: peak / (1 << 20) for name, peak in peaks.items()}


def pair_ratios(runs: Sequence[Run], references: Sequence[Run]) -> list[float]:
    """Return the speed of each run against that of the reference measured just before it."""
    pairs = zip(runs, references, strict=True)
    return [run.lines_per_second / reference.lines_per_second for run, reference in pairs]


def spread(values: Sequence[float]) -> list[float]:
    """Return the smallest and the largest."""
    return [min(values), max(values)]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share (0 to 1) of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
