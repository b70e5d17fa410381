"""Streams of windows with a known change or with none, drawn from distributions instead of from lines."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

# river brings numpy; only what measures the detector draws with it.
import numpy as np
from numpy.typing import NDArray

from pipeline.drift.detector import VALUE_KINDS
from pipeline.drift.window import MOST_VALUES, WINDOW_LINES, Window

#: Values of one kind, and how their popularity falls with their rank, as that of paths and agents does.
VALUES, EXPONENT = 600, 1.1
#: Values that are new in a change.
FRESH = 7
#: Bytes of a line, how much the mean of a window strays by itself, and how far a day moves it.
LINE_BYTES, LINE_STRAY, LINE_SWING = 250, 0.02, 0.1
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY_SECONDS = 86400
#: Shares of a stream as it is; those of a group add up to one, and its first one is the rest of the others.
GROUPS: dict[str, dict[str, float]] = {
    "status": {"2xx": 0.88, "3xx": 0.08, "4xx": 0.035, "5xx": 0.005},
    "method": {"GET": 0.84, "POST": 0.1, "HEAD": 0.04, "other": 0.02},
    "size": {"middle": 0.5, "small": 0.3, "large": 0.2},
    "format": {"combined": 1.0, "common": 0.0},
    "rejected": {"none": 0.9985, "lines": 0.001, "in part": 0.0005},
    "fields": {"size_bytes": 1.0},
    "fields of agents": {"user_agent": 0.99, "none": 0.01},
    "fields of referers": {"referer": 0.65, "none": 0.35},
    "fields of users": {"none": 0.95, "user_name": 0.05},
}


@dataclass
class Traffic:
    """What the lines of a stream are like at a moment.

    Attributes:
        groups: shares by group and name.
        news: for each kind of values the share that was never there before.
        stretch: factor of the length of lines.
    """

    groups: dict[str, dict[str, float]] = field(
        default_factory=lambda: {kind: dict(group) for kind, group in GROUPS.items()}
    )
    news: dict[str, float] = field(default_factory=dict)
    stretch: float = 1.0

    def move(self, group: str, name: str, share: float) -> None:
        """Let a share of a group be another one, at the cost of the largest of the others."""
        shares = self.groups[group]
        largest = max((other for other in shares if other != name), key=shares.__getitem__)
        shares[largest] -= share - shares[name]
        shares[name] = share


@dataclass(frozen=True)
class Change:
    """A change of the traffic: `apply` with a part from 0 to 1, in full `over` windows after window `at`."""

    apply: Callable[[Traffic, float], None]
    at: int
    over: int = 0

    def traffic(self, number: int) -> Traffic:
        """Return the traffic of a window."""
        traffic = Traffic()
        if number >= self.at:
            self.apply(traffic, min(1.0, (number - self.at + 1) / (self.over + 1)))
        return traffic


@dataclass(frozen=True)
class Stream:
    """How a source's lines come.

    Attributes:
        lines_per_second: of log time, at the mean of a day.
        swing: how far a day moves rate and shares up and down, as a share of them.
        clumped: variance of the shares of a window, in multiples of that of independent lines.
        seed: the same seed gives the same windows.
        values: how many agents and paths there are, beside some hosts and messages; of more than the detector
            remembers some are new at any time. 0 is no value of any kind, which takes least time.
    """

    lines_per_second: float = 10.0
    swing: float = 0.3
    clumped: float = 2.0
    seed: int = 0
    values: int = VALUES

    def windows(self, count: int, change: Change | None = None) -> Iterator[Window]:
        """Yield windows, with a change or with none."""
        rng = np.random.default_rng(self.seed)
        moment, place, traffic = FIRST, 0, Traffic()
        for number in range(count):
            if change is not None:
                traffic = change.traffic(number)
            day = self.swing * math.sin(2 * math.pi * (moment - FIRST).total_seconds() / DAY_SECONDS)
            window = self._window(rng, traffic, place, moment, day)
            yield window
            place = window.end
            moment += timedelta(seconds=WINDOW_LINES / (self.lines_per_second * (1 + day)))

    def _window(
        self, rng: np.random.Generator, traffic: Traffic, place: int, moment: datetime, day: float
    ) -> Window:
        stretch = traffic.stretch * (1 + LINE_SWING * day) * math.exp(rng.normal(0, LINE_STRAY))
        size = int(WINDOW_LINES * LINE_BYTES * stretch)
        window = Window(place, place + size, moment, WINDOW_LINES, size)
        for group, shares in traffic.groups.items():
            kind = group.partition(" ")[0]
            for name, hits in zip(shares, self._drawn(rng, list(shares.values()), day), strict=True):
                if name != "none":
                    window.hits[f"{kind}: {name}"] = int(hits)
                    window.among[f"{kind}: {name}"] = WINDOW_LINES
        for kind in VALUE_KINDS if self.values else ():
            window.values[kind] = self._values(rng, kind, traffic.news.get(kind, 0.0), place)
        return window

    def _drawn(self, rng: np.random.Generator, shares: list[float], day: float) -> NDArray[np.int64]:
        """Draw how many lines have each share, where visits bring lines that are alike."""
        largest = max(range(len(shares)), key=shares.__getitem__)
        swung = np.array(shares) * (1 + day)
        swung[largest] = 0
        swung[largest] = 1 - swung.sum()
        if self.clumped > 1:
            weight = (WINDOW_LINES - 1) / (self.clumped - 1) - 1
            swung = rng.dirichlet(np.maximum(swung, 1e-12) * weight)
        return rng.multinomial(WINDOW_LINES, swung)

    @cached_property
    def _ranks(self) -> NDArray[np.float64]:
        weights = 1 / np.arange(1, self.values + 1) ** EXPONENT
        return np.asarray(np.cumsum(weights / weights.sum()))

    def _values(self, rng: np.random.Generator, kind: str, new: float, place: int) -> list[tuple[str, int]]:
        ranks = np.searchsorted(self._ranks, rng.random(MOST_VALUES))
        fresh = rng.random(MOST_VALUES) < new
        texts = _texts(kind, self.values)
        return [
            (texts[self.values + rank % FRESH if is_new else rank], place)
            for rank, is_new in zip(ranks.tolist(), fresh.tolist(), strict=True)
        ]


@cache
def _texts(kind: str, values: int) -> list[str]:
    """Return the values that are known, by rank, and behind them those that are new in a change."""
    most = None if values > VALUES else 2
    known = [_text(kind, "known", rank, most) for rank in range(values)]
    return known + [_text(kind, "fresh", rank, most) for rank in range(FRESH)]


def _text(kind: str, word: str, rank: int, most: int | None) -> str:
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(rank))
    return {
        "hosts": f"{word}-{letters[:1]}.example.org",
        "agents": f"{word}-{letters}/{rank}.0",
        "paths": f"/{word}/{letters[:most]}/{letters[:1]}/{rank * 7919}",
        "messages": f"{word} {letters[:2]} failed after {rank} tries on {letters[-1]}",
    }[kind]
