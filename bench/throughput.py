"""How fast a complete file is stored by both stages, beside the database's own loader of the same rows."""

import statistics
from collections.abc import Sequence
from typing import Any

from bench import figures, rows
from bench.figures import Run
from bench.report import Report
from bench.sides import make_sample, side
from pipeline.cli import output

_PLACES = {"raw_logs": "lake", "clean_records": "clean"}


def throughput(lines: int, runs: int, *, embedded: bool = False) -> Report:
    """Measure reference and pipeline in turn, `runs` times each, and report medians.

    Raises:
        PipelineError: a server or a child could not do its part.
    """
    with side(embedded=embedded) as (where, folder):
        sample = make_sample(folder, lines)
        output.say("parsing them for the reference")
        parsed = rows.write_rows(sample.path, folder, rows.CSV if embedded else rows.COPY)
        references, streams = [], []
        for number in range(1, runs + 1):
            references.append(where.reference(parsed, sample))
            streams.append(where.pipeline(sample))
            _say(number, runs, references[-1], streams[-1])
    return _report("throughput embedded" if embedded else "throughput", references, streams, sample.size)


def _say(number: int, runs: int, reference: Run, stream: Run) -> None:
    output.say(
        f"run {number} of {runs}: reference {reference.lines_per_second:,.0f} lines/s, "
        f"pipeline {stream.lines_per_second:,.0f} lines/s "
        f"({stream.lines_per_second / reference.lines_per_second:.2f})"
    )


def _report(name: str, references: Sequence[Run], streams: Sequence[Run], size: int) -> Report:
    ratios = figures.pair_ratios(streams, references)
    values: dict[str, Any] = {
        "lines": streams[0].lines,
        "line_bytes": round(size / streams[0].lines, 1),
        "runs": len(streams),
        "lines_per_second": round(figures.median_speed(streams)),
        "reference_lines_per_second": round(figures.median_speed(references)),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(ratio, 3) for ratio in figures.spread(ratios)],
        "cpu_seconds_per_million": round(figures.median_cpu(streams), 2),
        "reference_cpu_seconds_per_million": round(figures.median_cpu(references), 2),
        "cpu_ratio": round(figures.median_cpu(streams) / figures.median_cpu(references), 2),
        "spread": [round(run.lines_per_second) for run in streams],
        "reference_spread": [round(run.lines_per_second) for run in references],
        "cpu_seconds_per_million_by_group": _rounded(figures.median_group_cpu(streams)),
        "reference_cpu_seconds_per_million_by_group": _rounded(figures.median_group_cpu(references)),
        "machine_cpu_seconds_per_million": _machine(streams),
        "reference_machine_cpu_seconds_per_million": _machine(references),
        "peak_mib": _rounded(figures.peak_mib(streams)),
        "stored_bytes_per_line": stored_per_line(streams[-1]),
        "stored_bytes_per_raw_byte": stored_per_line(streams[-1], size),
    }
    bars = [("reference", values["reference_lines_per_second"]), ("pipeline", values["lines_per_second"])]
    return Report(name, values, *_table(values), bars=bars, unit="lines per second", notes=_notes(values))


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


def _machine(runs: Sequence[Run]) -> float:
    return round(statistics.median(run.usage.machine_cpu_seconds * 1e6 / run.lines for run in runs), 2)


def stored_per_line(run: Run, size: int = 0) -> dict[str, float]:
    """Return the bytes of each table per line, or with the size of the log per byte of it."""
    share = size or run.lines
    return {_PLACES[table]: round(count / share, 2) for table, count in run.stored_bytes.items()}


def _table(values: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    heads = ["", "lines/s", "slowest", "fastest", "CPU s/million lines"]
    rows_ = [
        [
            name,
            values[f"{prefix}lines_per_second"],
            *figures.spread(values[f"{prefix}spread"]),
            values[f"{prefix}cpu_seconds_per_million"],
        ]
        for name, prefix in (("reference", "reference_"), ("pipeline", ""))
    ]
    return heads, [*rows_, ["ratio", values["ratio"], *values["ratio_spread"], values["cpu_ratio"]]]


def _notes(values: dict[str, Any]) -> list[str]:
    def listed(named: dict[str, float]) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in named.items())

    return [
        f"{values['lines']:,} lines of {values['line_bytes']} bytes, {values['runs']} paired runs, medians",
        f"CPU seconds per million lines: {listed(values['cpu_seconds_per_million_by_group'])}",
        f"  reference: {listed(values['reference_cpu_seconds_per_million_by_group'])}",
        f"largest process of each group, MiB: {listed(values['peak_mib'])}",
        f"stored bytes per line: {listed(values['stored_bytes_per_line'])}",
        f"  per byte of the log: {listed(values['stored_bytes_per_raw_byte'])}",
    ]
