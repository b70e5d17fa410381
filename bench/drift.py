"""How late drifts are noticed, and how often one is where nothing changed."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bench.report import Report
from bench.servers import scratch
from bench.streams import VALUES, Change, Stream, Traffic
from db import drifting, schema
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import output
from pipeline.drift.detector import Detector, Drift
from pipeline.drift.window import WINDOW_LINES, Window
from pipeline.generate import generate_blocks

#: Lines per second of a stream that changes, the window of the change, on the second day, and the windows
#: after it in which it may be noticed.
RATE, CHANGED_AT, NOTICED_WITHIN = 5, 1300, 400
#: Windows that a gradual change takes: 100,000 lines.
GRADUAL = 200
#: Streams without a change: lines per second, how far a day moves them, how clumped their lines are, how many
#: agents and paths they have.
STEADY = (
    (10, 0.3, 2, 600),
    (100, 0.3, 2, 20_000),
    (1, 0.3, 2, 600),
    (1000, 0.3, 2, 20_000),
    (0.2, 0.3, 2, 0),
    (10, 0.6, 2, 0),
    (10, 0.3, 5, 0),
    (50, 0, 1, 0),
)
#: Lines of the generated log that pass through the database, at most.
REAL_LINES = 200_000
#: Share of hostile lines after the change of the generated log.
HOSTILE = 0.05


def _moved(group: str, name: str, share: float, traffic: Traffic, part: float) -> None:
    before = traffic.groups[group][name]
    traffic.move(group, name, before + part * (share - before))


def _stretched(traffic: Traffic, part: float) -> None:
    traffic.stretch = 1 + 0.3 * part


def _new(kind: str, traffic: Traffic, part: float) -> None:
    traffic.news[kind] = 0.15 * part


#: Each kind of change, in words and as it is applied.
CHANGES: dict[str, Callable[[Traffic, float], None]] = {
    "rejected lines 0.1 → 3 %": partial(_moved, "rejected", "lines", 0.03),
    "partial records 0.05 → 3 %": partial(_moved, "rejected", "in part", 0.03),
    "lines with an agent 99 → 80 %": partial(_moved, "fields of agents", "user_agent", 0.8),
    "another format 0 → 30 %": partial(_moved, "format", "common", 0.3),
    "status 5xx 0.5 → 4 %": partial(_moved, "status", "5xx", 0.04),
    "method POST 10 → 20 %": partial(_moved, "method", "POST", 0.2),
    "large sizes 20 → 35 %": partial(_moved, "size", "large", 0.35),
    "length of lines + 30 %": _stretched,
    "new hosts 15 %": partial(_new, "hosts"),
    "new agents 15 %": partial(_new, "agents"),
    "new paths 15 %": partial(_new, "paths"),
    "new messages 15 %": partial(_new, "messages"),
}


@dataclass
class Steady:
    """Lines without a change, and the drifts that were noticed in them all the same."""

    lines: int = 0
    alarms: int = 0

    def per_million(self) -> float:
        """Return the alarms per million lines."""
        return 1e6 * self.alarms / self.lines if self.lines else 0.0


def drift(lines: int, runs: int) -> Report:
    """Feed the detector with streams that change, each kind at once and gradually, and with steady ones.

    `lines` is how many steady lines are drawn; a part of them is generated as text and goes through the clean
    stage of an embedded database.
    """
    steady = Steady()
    rows: list[list[object]] = []
    for name, apply in CHANGES.items():
        output.say(f"change: {name}")
        abrupt, gradual = (
            [_delay(_stream(name, run), Change(apply, CHANGED_AT, over), steady) for run in range(runs)]
            for over in (0, GRADUAL)
        )
        rows.append([name, *_summed(abrupt), *_summed(gradual)])
    _steady(lines, steady)
    return _report(rows, runs, steady, _real(min(lines, REAL_LINES)))


def _stream(name: str, run: int) -> Stream:
    return Stream(RATE, seed=run, values=VALUES if name.startswith("new ") else 0)


def _delay(stream: Stream, change: Change, steady: Steady) -> int | None:
    """Return the lines from a change to the drift that tells of it, None where none does."""
    detector = Detector()
    for number, window in enumerate(stream.windows(CHANGED_AT + NOTICED_WITHIN, change)):
        found = detector.feed(window)
        if number < change.at:
            steady.lines += window.lines
            steady.alarms += found is not None
        elif found is not None:
            return (number + 1 - change.at) * WINDOW_LINES
    return None


def _summed(delays: Iterable[int | None]) -> tuple[int | None, int | None, int]:
    """Return median and largest of the delays in lines, and how many changes were missed."""
    every = list(delays)
    known = [delay for delay in every if delay is not None]
    if not known:
        return None, None, len(every)
    return int(statistics.median(known)), max(known), len(every) - len(known)


def _steady(lines: int, steady: Steady) -> None:
    count = -(-lines // (WINDOW_LINES * len(STEADY)))
    for number, (rate, swing, clumped, values) in enumerate(STEADY):
        output.say(
            f"steady: {count * WINDOW_LINES} lines, {rate:g}/s, a day ± {swing:.0%}, clumped {clumped:g}, "
            f"{values} values"
        )
        stream = Stream(rate, swing, clumped, seed=1000 + number, values=values)
        alarms = _alarms(stream.windows(count))
        for alarm in alarms:
            output.say(f"false alarm: {alarm.changes}")
        steady.lines += count * WINDOW_LINES
        steady.alarms += len(alarms)


def _alarms(windows: Iterable[Window]) -> list[Drift]:
    detector = Detector()
    return [found for window in windows if (found := detector.feed(window)) is not None]


@dataclass(frozen=True)
class Real:
    """Text through the database: steady lines and their alarms, the delay of a change, seconds of a look."""

    lines: int
    alarms: int
    delay: int | None
    seconds_per_million: float


def _real(lines: int) -> Real:
    output.say(f"storing {lines} generated lines without a change, then {HOSTILE:.0%} hostile ones")
    source, place = Source("ab" * 16, "bench", "/sample.log", format="combined"), 0
    with scratch() as folder:
        url = f"sqlite:///{folder / 'sluice.db'}"
        schema.upgrade(url)
        engine = make_engine(url)
        stores, changed, changed_lines = (LakeStore(engine), CleanStore(engine)), 0, lines // 5
        for broken, count in ((0.0, lines), (HOSTILE, changed_lines)):
            changed = place
            for block in map(b"".join, generate_blocks(count, seed=3, broken=broken)):
                for store in stores:
                    store.store(Batch(source, place, block))
                place += len(block)
        began = time.process_time()
        found = drifting.look(engine, seconds=3600)
        seconds = time.process_time() - began
        engine.dispose()
    false = [each for each in found if each.end <= changed]
    true = [each for each in found if each.end > changed]
    delay = None if not true else round((true[0].end - changed) * changed_lines / (place - changed))
    return Real(lines, len(false), delay, seconds * 1e6 / (lines + changed_lines))


def _report(rows: list[list[object]], runs: int, steady: Steady, real: Real) -> Report:
    heads = ["change", "abrupt median", "abrupt most", "missed", "gradual median", "gradual most", "missed"]
    keys = [
        "abrupt_median",
        "abrupt_most",
        "abrupt_missed",
        "gradual_median",
        "gradual_most",
        "gradual_missed",
    ]
    values = {
        "delay_lines": {str(row[0]): dict(zip(keys, row[1:], strict=True)) for row in rows},
        "runs": runs,
        "steady_lines": steady.lines,
        "false_alarms": steady.alarms,
        "false_alarms_per_million_lines": steady.per_million(),
        "real": real.__dict__,
    }
    rate = f"{steady.per_million():.3f} per million"
    false = f"{real.alarms} false alarms in {real.lines:,} steady lines"
    notes = [
        f"delays in lines, {runs} runs each; gradual over {GRADUAL * WINDOW_LINES:,} lines",
        f"{steady.alarms} false alarms in {steady.lines:,} steady lines: {rate}",
        f"text through SQLite: {false}; {HOSTILE:.0%} hostile lines noticed after {real.delay} lines",
        f"looking at it took {real.seconds_per_million:.1f} s of processor time per million lines",
    ]
    bars = [(str(row[0]), float(row[1])) for row in rows if isinstance(row[1], int)]
    return Report("drift", values, heads, rows, bars, "lines until an abrupt change is noticed", notes)
