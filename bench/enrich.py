"""What enrichment adds to parsing, in processor seconds per million lines."""

import random
import statistics
import string
import time
from collections import deque

from bench.report import Report
from db.copy import encode_group
from pipeline.cli import output
from pipeline.enrich.agent import MAX_CHARACTERS, agent_enricher
from pipeline.enrich.enrichment import Enrichment
from pipeline.formats import get_format
from pipeline.formats.line import parser_of
from pipeline.generate import generate_blocks
from pipeline.settings import ENRICHMENTS

#: What is measured: nothing, each part, and both.
CASES = {"none": (), **{part: (part,) for part in ENRICHMENTS}, "all": ENRICHMENTS}
FORMAT = "combined"
#: Distinct agents of the flood.
AGENTS = 2000
_MILLION = 1_000_000


def enrich(lines: int, runs: int) -> Report:
    """Report the processor time of parsing and encoding for PostgreSQL, with each part and without.

    Each run parses every block once for each case, one right after the other, so that what else the machine
    does falls on all of them alike. A part is read anew, and forgets all values, at each run.
    """
    started = time.process_time()
    agent_enricher().enrich("first")
    ready = time.process_time() - started
    measured: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(runs):
        output.say(f"parsing {lines} lines {len(CASES)} ways, run {number + 1} of {runs}")
        for name, seconds in _parsed(lines).items():
            measured[name].append(seconds * _MILLION / lines)
    added = {
        name: statistics.median(a - b for a, b in zip(each, measured["none"], strict=True))
        for name, each in measured.items()
    }
    return _report(lines, runs, measured, added, {"ready": ready, **_flood()})


def _parsed(lines: int) -> dict[str, float]:
    seconds = dict.fromkeys(CASES, 0.0)
    parsers = {}
    for name, parts in CASES.items():
        started = time.process_time()
        parsers[name] = parser_of(Enrichment(parts).format(get_format(FORMAT)), encode_group)
        seconds[name] = time.process_time() - started
    order = deque(CASES)
    for block in map(b"".join, generate_blocks(lines, format=FORMAT)):
        # Each in turn is the first, which has to fetch the block into the processor's cache.
        order.rotate()
        for name in order:
            started = time.process_time()
            parsers[name].parse(block)
            seconds[name] += time.process_time() - started
    return seconds


def _flood() -> dict[str, float]:
    """Return milliseconds for each of many distinct agents as long as any that is read: mean, worst."""
    rng = random.Random(1)  # noqa: S311 - no secret
    enricher, times = agent_enricher(), []
    for _ in range(AGENTS):
        agent = "".join(rng.choices(string.printable, k=MAX_CHARACTERS))
        started = time.process_time()
        enricher.enrich(agent)
        times.append((time.process_time() - started) * 1000)
    return {"mean": statistics.mean(times), "worst": max(times)}


def _report(
    lines: int, runs: int, measured: dict[str, list[float]], added: dict[str, float], other: dict[str, float]
) -> Report:
    rows = [[name, statistics.median(each), added[name]] for name, each in measured.items()]
    values = {
        "lines": lines,
        "runs": runs,
        "cpu_seconds_per_million": {
            name: round(statistics.median(each), 3) for name, each in measured.items()
        },
        "added_cpu_seconds_per_million": {name: round(seconds, 3) for name, seconds in added.items()},
        "agent_rules_cpu_seconds": round(other["ready"], 3),
        "hostile_agent_ms": {name: round(other[name], 3) for name in ("mean", "worst")},
    }
    notes = [
        f"{lines:,} generated lines, {runs} runs: parsed and encoded, without the database",
        f"reading the rules of agents: {other['ready']:.2f} cpu-s once in each process",
        f"{AGENTS} distinct random agents: {other['mean']:.3f} ms each, {other['worst']:.2f} ms the worst",
    ]
    heads = ("enrichment", "cpu-s a million lines", "added")
    bars = [(name, statistics.median(each)) for name, each in measured.items()]
    return Report("enrich", values, heads, rows, bars, "cpu-s a million lines", notes)
