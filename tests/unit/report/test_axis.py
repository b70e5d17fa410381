"""The axis of time: bins, positions and labels."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pipeline.report.axis import MOST_BINS, MOST_TICKS, STEPS, axis_of
from pipeline.report.figures import Period, ranked_period

SINCE = datetime(2026, 3, 1, 10, 7, tzinfo=UTC)
LENGTHS = [timedelta(minutes=number) for number in (1, 59, 60, 61, 359, 1440, 10_080, 43_200, 525_600)]


@pytest.mark.parametrize("length", LENGTHS, ids=str)
def test_bins_cover_the_period(length: timedelta) -> None:
    """Few enough to see, without a hole, the first one holds the beginning and the last one the end."""
    period = Period(SINCE, SINCE + length)
    axis = axis_of(period)
    bins = axis.bins()

    assert len(bins) <= MOST_BINS + 1
    assert axis.step in STEPS
    assert {later - earlier for earlier, later in pairwise(bins)} <= {axis.step}
    assert axis.bin(period.since) == 0
    assert axis.bin(period.until - timedelta(microseconds=1)) == len(bins) - 1


@pytest.mark.parametrize("length", LENGTHS, ids=str)
def test_labels_stand_at_round_times(length: timedelta) -> None:
    """A handful, in order, inside of the plot."""
    places = [place for place, _ in axis_of(Period(SINCE, SINCE + length)).ticks()]

    assert len(places) <= MOST_TICKS
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


def test_an_hour_has_labels() -> None:
    """Every ten minutes, from the first full one on."""
    axis = axis_of(Period(SINCE, SINCE + timedelta(hours=1)))

    assert [label for _, label in axis.ticks()] == ["10:10", "10:20", "10:30", "10:40", "10:50", "11:00"]


def test_rankings_are_of_whole_days_beyond_an_hour() -> None:
    """Their counts are kept by day; an hour is read from the records."""
    hour, more = (Period(SINCE, SINCE + timedelta(minutes=minutes)) for minutes in (60, 61))
    day = datetime(2026, 3, 1, tzinfo=UTC)

    assert ranked_period(hour) == hour
    assert ranked_period(more) == Period(day, day + timedelta(days=1))
    assert ranked_period(Period(SINCE, SINCE + timedelta(days=1))) == Period(day, day + timedelta(days=2))
