"""What `status --watch` shows, gathered in a thread: the screen never waits for a database or a broker."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from pipeline.errors import PipelineError
from pipeline.report.figures import Ask, Period, Rows, Selection, Trouble, rows

#: Parts of pipeline/report/figures.py that are asked for each second, and those that may be older.
OFTEN = ("watched", "sources", "queues", "missing", "rates")
SELDOM = ("findings", "drifts", "rejected", "dead", "watches")
#: Seconds between two rounds, and how many times as long as a round took: asking must not be the load.
ROUND_SECONDS, REST = 1.0, 4.0
#: Seconds between two rounds of SELDOM.
SELDOM_SECONDS = 5.0
#: How far back findings and drifts are shown.
PERIOD = timedelta(hours=24)
#: Seconds over which the rate of a source is taken.
RATE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Scene:
    """What was known at a moment.

    Attributes:
        at: when it was asked for (UTC), None before the first answer.
        figures: answers by part; a part that nobody has answered yet is absent.
        rates: confirmed bytes per second of each source of this machine, by key.
    """

    at: datetime | None = None
    figures: Mapping[str, Rows | Trouble] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)


class Gatherer:
    """Asks again and again, as a context; `scene` is what it knows.

    Args:
        parts: what answers each part.
    """

    def __init__(self, parts: Mapping[str, Ask]) -> None:
        self.scene = Scene()
        self._parts = parts
        self._rates = Rates()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask nothing more; what is asked right now may still take its time."""
        self._ended.set()

    def check(self) -> None:
        """Raise what has ended the gathering, if anything has."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            seldom_at = 0.0
            while not self._ended.is_set():
                began = time.monotonic()
                is_due = began >= seldom_at
                self._ask((*OFTEN, *SELDOM) if is_due else OFTEN)
                seldom_at = began + SELDOM_SECONDS if is_due else seldom_at
                self._ended.wait(max(ROUND_SECONDS, REST * (time.monotonic() - began)))
        except BaseException as error:  # noqa: BLE001 - the loop of the screen raises it
            self._failure = error

    def _ask(self, names: tuple[str, ...]) -> None:
        now = datetime.now(UTC)
        selection = Selection(Period(now - PERIOD, now))
        answers = {name: _answer(self._parts[name], selection) for name in names}
        figures = {**self.scene.figures, **answers}
        self._rates.note({row["key"]: row["offset"] for row in rows(figures, "watched")}, time.monotonic())
        self.scene = Scene(now, figures, self._rates.all())


def _answer(ask: Ask, selection: Selection) -> Rows | Trouble:
    try:
        return ask(selection)
    except PipelineError as error:
        return Trouble(str(error))


class Rates:
    """How fast offsets rise, over the last RATE_SECONDS."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, Mapping[str, int]]] = []

    def note(self, offsets: Mapping[str, int], at: float) -> None:
        """Note the offsets of a moment."""
        self._seen = [(then, known) for then, known in self._seen if then >= at - RATE_SECONDS]
        self._seen.append((at, offsets))

    def all(self) -> dict[str, float]:
        """Return bytes per second by key, of what was seen twice."""
        last, now = self._seen[-1]
        found: dict[str, float] = {}
        for then, known in self._seen[:-1]:
            for key in known.keys() & now.keys() - found.keys():
                found[key] = max(0, now[key] - known[key]) / (last - then)
        return found
