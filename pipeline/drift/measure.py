"""The measures of a window on one scale, on which equal steps are equally unlikely to be chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.drift.novelty import NEW_WINDOWS, RECENT_WINDOWS
from pipeline.drift.window import Window

#: Name of the mean length of a line in bytes; every other measure is a share.
LENGTH = "length: mean bytes"
#: What the names of shares of values not seen before end with: before the last windows, and before many.
NEW, RECENT = ": new", ": recent"
#: Fewest lines that a share is taken of.
FEWEST = 40
#: Steps on the scale that no one need hear of: of a share from 0 to 0.25 %, from 10 to 13 %, from 50 to 55 %;
#: of a length a tenth.
TOLERANCE, LENGTH_TOLERANCE = 0.05, 0.1
#: The same of recent values, which come and go by themselves: from 0 to 1 %, from 10 to 17 %.
RECENT_TOLERANCE = 0.1
#: Least noise of a mean length, on the scale.
LENGTH_NOISE = 0.02


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a window.

    Attributes:
        name: `kind: what`.
        value: on the scale, see `unscaled`.
        noise: standard deviation on the scale that chance alone gives it.
        tolerance: step on the scale that does not matter.
        rising: whether only a rise matters.
    """

    name: str
    value: float
    noise: float
    tolerance: float
    rising: bool = False


def measures(window: Window, ages: Mapping[str, Sequence[int]], number: int) -> Iterator[Measure]:
    """Yield the measures of the window of this number; `ages` are those of its values, by their kinds."""
    for name, among in window.among.items():
        if among >= FEWEST:
            yield _share(name, window.hits.get(name, 0), among)
    for kind, known in ages.items():
        if len(known) >= FEWEST:
            new, recent = (sum(age < most for age in known) for most in (NEW_WINDOWS, RECENT_WINDOWS))
            yield _share(kind + NEW, new, len(known), rising=True)
            if number > RECENT_WINDOWS:
                # Before, every value is recent.
                yield _share(kind + RECENT, recent, len(known), RECENT_TOLERANCE, rising=True)
    length = math.log(max(window.size / window.lines, 1))
    yield Measure(LENGTH, length, LENGTH_NOISE, LENGTH_TOLERANCE)


def _share(
    name: str, count: int, among: int, tolerance: float = TOLERANCE, *, rising: bool = False
) -> Measure:
    # The variance of the arcsine of the root of a share depends on the number of lines alone.
    value = math.asin(math.sqrt(min(count / among, 1)))
    return Measure(name, value, 0.5 / math.sqrt(among), tolerance, rising)


def unscaled(name: str, value: float) -> float:
    """Return a value on the scale as what people read: a share of 0 to 1, or bytes."""
    if name == LENGTH:
        return math.exp(value)
    return math.sin(min(max(value, 0), math.pi / 2)) ** 2
