"""The detector of one source: windows in, drifts out; its state is JSON, so it goes on after a restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.drift.expectation import Expectation
from pipeline.drift.measure import NEW, RECENT, Measure, measures, unscaled
from pipeline.drift.novelty import NEW_WINDOWS, RECENT_WINDOWS, Aged, known
from pipeline.drift.run import Run, beyond
from pipeline.drift.window import Window

#: Raised when the state is no longer understood: what is stored by another version is learnt again.
STATE_VERSION = 1
#: Windows that a measure is learnt from before it is judged.
LEARNT_WINDOWS = 30
#: Sum of the steps of a run, in standard deviations, from which it is part of another measure's drift,
#: and no noise.
ALONG = 5.0
#: Kinds of values that are looked at for new ones.
VALUE_KINDS = ("hosts", "agents", "paths", "messages")
#: What is named first when several measures drift together: the nearest to the cause.
KINDS = (
    "rejected",
    "format",
    "fields",
    "length",
    "hosts",
    "agents",
    "messages",
    "paths",
    "status",
    "method",
    "size",
)
#: What the names of shares of formats begin with.
FORMAT = "format: "
#: Kinds that say that the lines themselves look different.
FORMAT_KINDS = ("rejected", "format", "fields")


@dataclass(frozen=True, slots=True)
class Change:
    """A measure, `kind: what`, and what it was and is: a share of 0 to 1, or bytes."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The lines of a source are not what they were.

    Attributes:
        kind: of the change that is nearest to the cause, one of KINDS.
        start: byte of the source from which on they are not.
        end: byte up to which was read when it was noticed.
        moment: time of the records of the first window from `start` on, None where it has none.
        changes: the measures that changed, that of `kind` first.
        places: bytes at which lines with new values start.
    """

    kind: str
    start: int
    end: int
    moment: datetime | None
    changes: tuple[Change, ...]
    places: tuple[int, ...] = ()


class Detector:
    """What is known of a source, and what is being watched for."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        stored = dict(state or {})
        if stored.get("version") != STATE_VERSION:
            stored = {}
        pending = stored.get("pending")
        self._pending = Window.from_json(pending) if pending else None
        self._number: int = stored.get("number", 0)
        self._expected = {name: Expectation(each) for name, each in stored.get("expected", {}).items()}
        self._runs = {name: Run.from_json(each) for name, each in stored.get("runs", {}).items()}
        self._known = {kind: known(kind, stored.get("known", {}).get(kind)) for kind in VALUE_KINDS}

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON takes it."""
        return {
            "version": STATE_VERSION,
            "pending": self._pending and self._pending.as_json(),
            "number": self._number,
            "expected": {name: each.as_json() for name, each in self._expected.items()},
            "runs": {name: each.as_json() for name, each in self._runs.items()},
            "known": {kind: each.as_json() for kind, each in self._known.items()},
        }

    def feed(self, window: Window) -> Drift | None:
        """Take in the next lines, few or many; return the drift that they complete."""
        if self._pending is None:
            self._pending = window
        else:
            self._pending.add(window)
        if not self._pending.is_full:
            return None
        full, self._pending = self._pending, None
        return self._judge(full)

    def _judge(self, window: Window) -> Drift | None:
        self._number += 1
        found = {kind: self._known[kind].aged(values, self._number) for kind, values in window.values.items()}
        ages = {kind: [each.age for each in aged] for kind, aged in found.items()}
        self._complete(window)
        every = list(measures(window, ages, self._number))
        drifting = [measure.name for measure in every if self._follow(measure, window)]
        return self._end(drifting, window, found) if drifting else None

    def _complete(self, window: Window) -> None:
        """Add the formats that no line is of; one seen for the first time was not there before."""
        records = max((window.among[name] for name in window.among if name.startswith(FORMAT)), default=0)
        for name in self._expected:
            if name.startswith(FORMAT):
                window.among.setdefault(name, records)
        for name in window.among:
            if name.startswith(FORMAT) and name not in self._expected and self._number > LEARNT_WINDOWS:
                self._expected[name] = Expectation({"count": LEARNT_WINDOWS})

    def _follow(self, measure: Measure, window: Window) -> bool:
        """Learn from a measure; return whether its run is a drift now."""
        expected = self._expected.setdefault(measure.name, Expectation())
        run = self._runs.get(measure.name)
        if expected.count >= LEARNT_WINDOWS:
            step = beyond(measure, expected, window.moment)
            if run is None and step:
                run = Run(window.start, window.moment, expected.at(window.moment))
                self._runs[measure.name] = run
            if run is not None:
                run.add(step, measure.value)
        suspicious = run is not None and abs(run.weight) >= ALONG
        expected.learn(measure, window.moment, suspicious=suspicious)
        if run is not None and run.is_over:
            del self._runs[measure.name]
            return False
        return run is not None and run.is_drift()

    def _end(self, drifting: list[str], window: Window, values: Mapping[str, list[Aged]]) -> Drift:
        """Return the drift of some measures and of what moved along; learn those anew."""
        along = [name for name, run in self._runs.items() if name in drifting or abs(run.weight) >= ALONG]
        along.sort(key=lambda name: (KINDS.index(kind_of(name)), -abs(self._runs[name].weight)))
        runs = {name: self._runs.pop(name) for name in along}
        for name in along:
            # What is new is recent for long: told once.
            for each in {name, name.replace(NEW, RECENT), name.replace(RECENT, NEW)} & self._expected.keys():
                self._expected[each] = Expectation()
                self._runs.pop(each, None)
        first = min((runs[name] for name in drifting), key=lambda run: run.start)
        changes = tuple(
            Change(name, unscaled(name, run.before), unscaled(name, run.after)) for name, run in runs.items()
        )
        kind = kind_of(along[0])
        young = RECENT_WINDOWS if kind + NEW not in runs else NEW_WINDOWS
        places = tuple(each.place for each in values.get(kind, ()) if each.age < young)
        return Drift(kind, first.start, window.end, first.moment, changes, places)


def kind_of(name: str) -> str:
    """Return the kind of a measure."""
    return name.partition(":")[0]
