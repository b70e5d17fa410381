"""Does the pipeline slow down as tables grow: the last million lines against the first."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.progress import Track, speed
from bench.report import Report
from bench.sides import make_sample, side, stream
from pipeline.cli import output

#: Lines of a window; and of the start, which the first window leaves out: connections and memos fill there.
WINDOW_LINES, WARM_LINES = 1_000_000, 200_000
#: Windows of the plot.
BARS = 10


def growth(lines: int, *, embedded: bool = False) -> Report:
    """Stream one long log and report the speed of its first and last window; a short log has shorter windows.

    Raises:
        PipelineError: a server or a child could not do its part.
    """
    track = Track()
    with side(embedded=embedded) as (where, folder), where.deployed() as deployment:
        sample = make_sample(folder, lines)
        _settle(sample.path)
        output.say("streaming them")
        run = stream(deployment, sample, where.roots(), track.note)
    per_line = sample.size / lines
    warm, window = int(min(WARM_LINES, lines / 10) * per_line), int(min(WINDOW_LINES, lines / 4) * per_line)
    first = speed(track.steps, warm, warm + window) / per_line
    last = speed(track.steps, sample.size - window, sample.size) / per_line
    values: dict[str, Any] = {
        "lines": lines,
        "window_lines": round(window / per_line),
        "first_lines_per_second": round(first),
        "last_lines_per_second": round(last),
        "ratio": round(last / first, 3),
        "lines_per_second": round(run.lines_per_second),
    }
    edges = [warm + number * (sample.size - warm) // BARS for number in range(BARS + 1)]
    bars = [
        (f"to {high / per_line / 1e6:.1f} million", speed(track.steps, low, high) / per_line)
        for low, high in pairwise(edges)
    ]
    rows = [["first", values["first_lines_per_second"]], ["last", values["last_lines_per_second"]]]
    note = f"windows of {values['window_lines']:,} lines, last / first {values['ratio']}"
    name = "growth embedded" if embedded else "growth"
    return Report(
        name, values, ["window", "lines/s"], rows, bars, "lines per second as the tables grow", [note]
    )


def _settle(path: Path) -> None:
    # Gigabytes that the system still writes to the disk would slow the first window, and not the last.
    with path.open("rb") as file:
        os.fsync(file.fileno())
