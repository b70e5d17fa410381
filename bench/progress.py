"""How far a run was at each look, and how fast it went between two points of the log."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Track:
    """Looks at a growing count of bytes: seconds since the start, and the count."""

    steps: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    _began: float = field(default_factory=time.monotonic)

    def note(self, count: int) -> None:
        """Note a count where it is new."""
        if count > self.steps[-1][1]:
            self.steps.append((time.monotonic() - self._began, count))


def moment(steps: Sequence[tuple[float, int]], count: int) -> float:
    """Return the second at which a count was reached, between two looks by proportion."""
    before = steps[0]
    for after in steps[1:]:
        if after[1] >= count:
            share = (count - before[1]) / (after[1] - before[1])
            return before[0] + share * (after[0] - before[0])
        before = after
    raise ValueError(f"{count} was never reached")


def speed(steps: Sequence[tuple[float, int]], low: int, high: int) -> float:
    """Return the bytes per second between two counts."""
    return (high - low) / (moment(steps, high) - moment(steps, low))
