"""What is usual for each count of a source, at that time of day; how far a count is from it."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.drift.expectation import Expectation
from pipeline.drift.measure import Measure

#: Intervals after which something is usual: before, nothing is judged.
LEARNT = 12
#: Counts whose usual level is known, of each kind; the lowest are forgotten.
MOST_KNOWN = 60
#: From so many deviations on a count is not taken for noise.
SUSPICIOUS = 3.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A count beside what is usual.

    Attributes:
        usual: on the scale of its measure.
        deviations: how far it is from that, in standard deviations; negative below.
        known: whether there were enough intervals to tell.
    """

    usual: float
    deviations: float
    known: bool


def root(count: float) -> Measure:
    """Return a count on a scale on which chance strays alike everywhere."""
    return Measure("count", math.sqrt(count), 0.5, 0.0)


def share(count: int, among: int) -> Measure:
    """Return a share on such a scale."""
    return Measure("share", math.asin(math.sqrt(min(count / among, 1))), 0.5 / math.sqrt(among), 0.0)


def logarithm(mean: float, among: int) -> Measure:
    """Return a mean of logarithms, whose noise is learnt."""
    return Measure("logarithm", mean, 1 / math.sqrt(among), 0.0)


class Usual:
    """The expectations of a source by kind and subject."""

    def __init__(self, stored: Any = None) -> None:
        stored = stored or {}
        self.intervals: int = stored.get("intervals", 0)
        # By kind and subject, the one judged last at the end.
        self._known: defaultdict[str, dict[str, Expectation]] = defaultdict(dict)
        for kind, subject, each in stored.get("known", []):
            self._known[kind][subject] = Expectation(each)

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        known = [
            [kind, subject, each.as_json()]
            for kind, own in self._known.items()
            for subject, each in own.items()
        ]
        return {"intervals": self.intervals, "known": known}

    def judge(
        self, kind: str, subject: str, measure: Measure, moment: datetime, *, was_nothing: bool = False
    ) -> Judged:
        """Say how far a measure is from what is usual, and learn it.

        With `was_nothing` a subject that is new in a source that is known was usually 0.
        """
        own = self._known[kind]
        expected = own.pop(subject, None) or Expectation()
        known = (self.intervals if was_nothing else expected.count) >= LEARNT
        usual = expected.at(moment)
        deviations = (measure.value - usual) / expected.noise(measure)
        expected.learn(measure, moment, suspicious=known and abs(deviations) >= SUSPICIOUS)
        own[subject] = expected
        if len(own) > MOST_KNOWN:
            del own[min(own, key=lambda known: own[known].at(None))]
        return Judged(usual, deviations, known)

    def subjects(self, kind: str) -> list[str]:
        """Return the subjects of a kind that are known."""
        return list(self._known[kind])
