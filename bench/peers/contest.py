"""Runs the peers one after the other on the head of the log, and the pipeline on all of it, in one run."""

from collections.abc import Sequence
from typing import Any

from bench.figures import Run
from bench.peers.pathway import PATHWAY
from bench.peers.peer import Peer
from bench.peers.rowwise import CELERY, NAIVE
from bench.peers.rsyslog import RSYSLOG
from bench.peers.syslog_ng import SYSLOG_NG
from bench.peers.trial import Entry, measure
from bench.report import Report
from bench.servers import scratch, servers
from bench.sides import OnServers, make_sample
from pipeline.cli import output

PEERS: tuple[Peer, ...] = (NAIVE, CELERY, RSYSLOG, SYSLOG_NG, PATHWAY)


def peers(lines: int, contestants: Sequence[Peer] = PEERS) -> Report:
    """Measure each peer and the pipeline, lines in both tables per second, with the same servers.

    Raises:
        PipelineError: the pipeline could not do its part.
    """
    entries = []
    with scratch() as folder, servers() as own:
        sample = make_sample(folder, lines)
        for peer in contestants:
            entries.append(measure(peer, own, sample, folder))
            _say(entries[-1])
        pipeline = OnServers(own, folder).pipeline(sample)
    return _report(entries, pipeline)


def _say(entry: Entry) -> None:
    speed = f"{entry.run.lines_per_second:,.0f} lines/s" if entry.run else "not measured"
    output.say(f"{entry.peer.name}: " + "; ".join(filter(None, [speed, entry.remark])))


def _report(entries: Sequence[Entry], pipeline: Run) -> Report:
    runs = {entry.peer.name: entry.run for entry in entries if entry.run} | {"pipeline": pipeline}
    values: dict[str, Any] = {
        "lines": {name: run.lines for name, run in runs.items()},
        "lines_per_second": {name: round(run.lines_per_second) for name, run in runs.items()},
        "cpu_seconds_per_million": {
            name: round(run.cpu_seconds_per_million, 1) for name, run in runs.items()
        },
        "does_not_do": {entry.peer.name: entry.peer.lacks for entry in entries},
        "remarks": {entry.peer.name: entry.remark for entry in entries if entry.remark},
    }
    heads = ["", "lines", "lines/s", "pipeline is faster by", "CPU s/million lines", "does not do"]
    rows = [
        [entry.peer.name, *_figures(entry.run, pipeline), entry.peer.lacks if entry.run else entry.remark]
        for entry in entries
    ]
    rows.append(["pipeline", *_figures(pipeline, pipeline), ""])
    bars = [(name, run.lines_per_second) for name, run in runs.items()]
    return Report("peers", values, heads, rows, bars, "lines per second", _notes(entries))


def _figures(run: Run | None, pipeline: Run) -> list[object]:
    if run is None:
        return [None] * 4
    faster = round(pipeline.lines_per_second / run.lines_per_second, 1)
    return [run.lines, round(run.lines_per_second), faster, round(run.cpu_seconds_per_million, 1)]


def _notes(entries: Sequence[Entry]) -> list[str]:
    return [
        "lines that both tables hold, per second; the same servers, one after the other",
        "the start of what reads the log is inside the clock; rows and bytes were counted afterwards",
        *(f"{entry.peer.name}: {entry.remark}" for entry in entries if entry.run and entry.remark),
    ]
