"""A run: the windows since a measure left what is expected of it, and whether that is a drift."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipeline.drift.expectation import Expectation
from pipeline.drift.measure import Measure

#: Standard deviations that a window counts at most, or a single one could be a drift.
FARTHEST = 6.0
#: Page-Hinkley, in standard deviations: the step that is no change, and the sum of steps that is a drift.
STEP, THRESHOLD = 0.5, 14.0
#: Windows as expected that the test is told of before a run.
QUIET_BEFORE = 100
#: Windows as expected that end a run.
QUIET_AFTER = 8
#: Windows of a run that are remembered.
MOST_WINDOWS = 300


class Run:
    """What was seen of one measure since it left what is expected; begins with the window that left.

    Attributes:
        start: byte of the source at which that window starts.
        moment: time of its records, None where it had none.
        before: what was expected then, on the measure's scale.
    """

    def __init__(
        self, start: int, moment: datetime | None, before: float, steps: Sequence[float] = ()
    ) -> None:
        self.start = start
        self.moment = moment
        self.before = before
        self._steps = list(steps)
        self._values: list[float] = []

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "start": self.start,
            "moment": self.moment and self.moment.isoformat(),
            "before": self.before,
            "steps": self._steps,
            "values": self._values,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Run":
        """Return the run that `as_json` wrote."""
        moment = fields["moment"]
        run = cls(
            fields["start"],
            datetime.fromisoformat(moment) if moment else None,
            fields["before"],
            fields["steps"],
        )
        run._values = list(fields["values"])
        return run

    def add(self, step: float, value: float) -> None:
        """Take in a window: its step beyond what is tolerated, in standard deviations, and its value."""
        self._steps = [*self._steps, step][-MOST_WINDOWS:]
        self._values = [*self._values, value][-MOST_WINDOWS:]

    @property
    def is_over(self) -> bool:
        """True when the measure is back where it is expected."""
        return len(self._steps) >= QUIET_AFTER and not any(self._steps[-QUIET_AFTER:])

    @property
    def after(self) -> float:
        """Mean of the windows that left, of the second half of the run, on the measure's scale."""
        half = len(self._steps) // 2
        gone = [value for step, value in zip(self._steps[half:], self._values[half:], strict=True) if step]
        kept = gone or self._values
        return sum(kept) / len(kept)

    @property
    def weight(self) -> float:
        """Sum of its steps, in standard deviations, positive for a rise."""
        return sum(self._steps)

    def is_drift(self) -> bool:
        """Return what the Page-Hinkley test says of the run, after a while of windows as expected."""
        if abs(self.weight) <= THRESHOLD:
            return False
        # Imported late, and only for a run that may be one: it brings numpy and scipy, seconds and 90 MiB.
        from river.drift import PageHinkley  # noqa: PLC0415

        test = PageHinkley(min_instances=1, delta=STEP, threshold=THRESHOLD, alpha=1.0)
        for step in [*[0.0] * QUIET_BEFORE, *self._steps]:
            test.update(step)
            if test.drift_detected:
                return True
        return False


def beyond(measure: Measure, expected: Expectation, moment: datetime | None) -> float:
    """Return how far a window lies beyond what is tolerated, in standard deviations, 0 within."""
    stray = measure.value - expected.at(moment)
    if measure.rising and stray < 0:
        return 0.0
    excess = max(abs(stray) - measure.tolerance, 0.0) / expected.noise(measure)
    return math.copysign(min(excess, FARTHEST), stray) if excess else 0.0
