"""The axis of time that every plot shares: bins, positions, and where it is labelled."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.report.figures import Period, floor

#: Most bins of a plot, and labels of its axis.
MOST_BINS, MOST_TICKS = 120, 8
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Lengths that people divide time by.
STEPS = (
    *(number * _MINUTE for number in (1, 2, 5, 10, 15, 30)),
    *(number * _HOUR for number in (1, 2, 3, 6, 12)),
    *(number * _DAY for number in (1, 7, 28, 91, 364)),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A period in bins of one length; the first and the last may reach beyond it."""

    period: Period
    step: timedelta

    def bins(self) -> list[datetime]:
        """Return the beginning of each bin."""
        whole = self.period.whole(self.step)
        return [whole.since + number * self.step for number in range(round(whole.length / self.step))]

    def bin(self, moment: datetime) -> int:
        """Return the number of the bin that a moment lies in; outside of the axis it is no bin's."""
        return (moment - self.period.whole(self.step).since) // self.step

    def position(self, moment: datetime) -> float:
        """Return where a moment lies, in per cent of the axis."""
        whole = self.period.whole(self.step)
        return 100 * ((moment - whole.since) / whole.length)

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions and labels at round times."""
        length = self.period.length
        step = next((step for step in STEPS if length / step <= MOST_TICKS), STEPS[-1])
        first = floor(self.period.since, step) + step
        moments = [first + number * step for number in range(MOST_TICKS + 1)]
        pattern = "%H:%M" if step < _DAY else "%d %b"
        found = [(self.position(each), f"{each:{pattern}}") for each in moments if each < self.period.until]
        # A label is centred on its place: near the edges it would be cut.
        return [tick for tick in found if 3 <= tick[0] <= 97]  # noqa: PLR2004 - per cent


def axis_of(period: Period) -> Axis:
    """Return the axis of a period: the finest one with at most `MOST_BINS` bins."""
    step = next((step for step in STEPS if period.length / step <= MOST_BINS), STEPS[-1])
    return Axis(period, step)
