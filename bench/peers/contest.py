"""Runs the peers one after the other on the head of the log, and the pipeline on all of it, in one run."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from signal import SIGTERM
from typing import Any, NamedTuple

from bench.figures import Run
from bench.meter import Meter
from bench.nodes import stop_child, wait_until
from bench.peers import tables
from bench.report import Report
from bench.servers import Servers, database, scratch, servers
from bench.sides import OnServers, Sample, make_sample
from pipeline.cli import output

#: Lines that a peer gets: enough for ten seconds of the slowest, for which the whole log would take an hour.
PEER_LINES = 5000
#: Seconds that a peer may take to start, and for its lines.
START_SECONDS, RUN_SECONDS = 60.0, 600.0


class Peer(NamedTuple):
    """How a peer is run: the programs that store, the word they print when ready, the program that sends."""

    name: str
    stores: Sequence[Sequence[str]]
    ready: str
    sends: Sequence[str]


def contestants(broker_url: str, database_url: str, log: Path) -> tuple[Peer, ...]:
    """Return the peers; none needs a package that the project does not have."""

    def naive(role: str) -> list[str]:
        return [sys.executable, "-m", "bench.peers.naive", role, broker_url, database_url, str(log)]

    def celery(queue: str) -> list[str]:
        worker = ["worker", "-Q", queue, "-n", f"{queue}@%h", "-c", "1", "-l", "INFO"]
        quiet = ["--without-gossip", "--without-mingle"]
        return [sys.executable, "-m", "celery", "-A", "bench.peers.lines", *worker, *quiet]

    return (
        Peer("a message per line, ORM", [naive("raw"), naive("clean")], "ready", naive("publish")),
        Peer(
            "a Celery task per line",
            [celery("peer-raw"), celery("peer-clean")],
            " ready.",
            [sys.executable, "-m", "bench.peers.lines", str(log)],
        ),
    )


def peers(lines: int) -> Report:
    """Measure each peer and the pipeline, lines in both tables per second, with the same servers.

    Raises:
        PipelineError: the pipeline could not do its part.
    """
    with scratch() as folder, servers() as own:
        sample = make_sample(folder, lines)
        head = _head(sample, folder / "head.log")
        speeds = {}
        for number in range(len(contestants("", "", head.path))):
            name, run = _measure(own, number, head, folder)
            speeds[name] = run
            output.say(f"{name}: {run.lines_per_second:,.0f} lines/s")
        speeds["pipeline"] = OnServers(own, folder).pipeline(sample)
    return _report(speeds)


def _head(sample: Sample, path: Path) -> Sample:
    with sample.path.open("rb") as whole, path.open("wb") as part:
        part.writelines(islice(whole, PEER_LINES))
    return Sample(path, min(PEER_LINES, sample.lines), path.stat().st_size)


def _measure(own: Servers, number: int, head: Sample, folder: Path) -> tuple[str, Run]:
    with ExitStack() as stack:
        url = stack.enter_context(database(own.postgres, "peer"))
        tables.create(url)
        stack.callback(tables.engine(url).dispose)
        peer = contestants(own.rabbit.url, url, head.path)[number]
        variables = {**os.environ, "PEER_BROKER_URL": own.rabbit.url, "PEER_DATABASE_URL": url}
        children = {
            f"store {n}": stack.enter_context(_child(c, folder, n, variables))
            for n, c in enumerate(peer.stores)
        }
        logs = [folder / f"peer-{n}.log" for n in range(len(peer.stores))]
        wait_until(lambda: all(peer.ready in log.read_text() for log in logs), peer.name, START_SECONDS)
        with Meter(lambda: {**{name: child.pid for name, child in children.items()}, **own.roots()}) as meter:
            began = time.monotonic()
            children["send"] = stack.enter_context(_child(peer.sends, folder, len(logs), variables))
            wait_until(lambda: tables.stored_lines(url) >= head.lines, peer.name, RUN_SECONDS)
            seconds = time.monotonic() - began
        return peer.name, Run(head.lines, seconds, meter.usage)


@contextmanager
def _child(
    command: Sequence[str], folder: Path, number: int, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    root = Path(__file__).parents[2]
    with (folder / f"peer-{number}.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=variables, cwd=root)
    try:
        yield child
    finally:
        stop_child(child, SIGTERM, 10)


def _report(runs: dict[str, Run]) -> Report:
    fastest = runs["pipeline"].lines_per_second
    rows = [
        [
            name,
            run.lines,
            round(run.lines_per_second),
            round(fastest / run.lines_per_second, 1),
            round(run.cpu_seconds_per_million, 1),
        ]
        for name, run in runs.items()
    ]
    values: dict[str, Any] = {
        "lines_per_second": {name: round(run.lines_per_second) for name, run in runs.items()},
        "cpu_seconds_per_million": {
            name: round(run.cpu_seconds_per_million, 1) for name, run in runs.items()
        },
    }
    heads = ["", "lines", "lines/s", "pipeline is faster by", "CPU s/million lines"]
    bars = [(name, run.lines_per_second) for name, run in runs.items()]
    note = "lines that both tables hold, per second; the same servers, one after the other"
    return Report("peers", values, heads, rows, bars, "lines per second", [note])
