"""`bench`: measures this machine, the pipeline beside what else could load the same lines."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from bench.detect import detect
from bench.drift import drift
from bench.enrich import enrich
from bench.growth import growth
from bench.latency import latency
from bench.memory import memory
from bench.peers.contest import peers
from bench.queries import queries
from bench.replay import replays
from bench.report import Report
from bench.scaling import scaling
from bench.throughput import throughput
from bench.web import web
from pipeline.cli import options, output

#: Where plots go: the folder of the documentation.
_COUNT = click.IntRange(min=1000)
PLOTS = Path(__file__).parents[2] / "docs" / "bench"


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option(
    "--lines", type=click.IntRange(min=1000), default=1_000_000, show_default=True, help="Log lines."
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each side.")
@click.option(
    "--backlog", type=_COUNT, default=4_000_000, show_default=True, help="Lines of memory's backlog."
)
@click.option("--growth-lines", type=_COUNT, default=20_000_000, show_default=True, help="Lines of growth.")
@click.option("--embedded", is_flag=True, help="SQLite and the embedded broker instead of servers.")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), default=PLOTS, help="Folder of the plots."
)
@options.common
def command(  # noqa: PLR0917 - one for each option
    names: tuple[str, ...],
    lines: int,
    runs: int,
    backlog: int,
    growth_lines: int,
    embedded: bool,
    plots: Path,
    as_json: bool,
) -> None:
    """Measure this machine: NAME is one of the benchmarks below; without one, all.

    throughput, latency, memory, queries, web (the page in Chromium), enrich (what it adds to parsing),
    replay, peers, scaling, growth, drift: how late drifts are noticed, and detect: how well attacks are
    told from honest requests.
    Servers are started on free ports and ended afterwards; lines are generated.
    """
    output.log_to_stderr("WARNING", options.settings())
    # An exception, so that every server and child that was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    known = benchmarks(lines, runs, backlog, growth_lines, embedded=embedded)
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    for name in names or known:
        report = known[name]()
        output.say(f"plot: {report.draw(plots)}")
        report.show(as_json=as_json)


def benchmarks(
    lines: int, runs: int, backlog: int, growth_lines: int, *, embedded: bool
) -> dict[str, Callable[[], Report]]:
    """Return every benchmark by its name."""
    return {
        "throughput": partial(throughput, lines, runs, embedded=embedded),
        "latency": partial(latency, embedded=embedded),
        "memory": partial(memory, lines, backlog, embedded=embedded),
        "queries": partial(queries, lines),
        "web": partial(web, lines, runs),
        "enrich": partial(enrich, lines, runs),
        "replay": partial(replays, lines, runs, embedded=embedded),
        "peers": partial(peers, lines),
        "scaling": partial(scaling, lines, runs),
        "drift": partial(drift, lines, runs),
        "detect": partial(detect, lines, runs),
        "growth": partial(growth, growth_lines, embedded=embedded),
    }
