"""What the benchmarks compute from their measurements."""

import pytest

from bench import figures
from bench.figures import Run
from bench.latency import Appends, Frontier, milliseconds, waits
from bench.meter import Usage
from bench.progress import Track, moment, speed
from pipeline.topology import Stage


def run(seconds: float, cpu_seconds: float = 4.0, peak: int = 1 << 20) -> Run:
    """Return a run over half a million lines."""
    usage = Usage({"lake": cpu_seconds, "clean": cpu_seconds}, {"lake": peak}, 9.0)
    return Run(500_000, seconds, usage)


def test_speed_and_time_per_million_follow_from_a_run() -> None:
    """Lines per second count the clock, processor seconds all groups together."""
    measured = run(10.0)

    assert measured.lines_per_second == 50_000
    assert measured.cpu_seconds_per_million == 16.0


def test_medians_ignore_one_slow_run() -> None:
    """A run in which the machine was busy elsewhere does not move the figure."""
    runs = [run(10.0), run(100.0, 40.0), run(10.0)]

    assert figures.median_speed(runs) == 50_000
    assert figures.median_cpu(runs) == 16.0
    assert figures.median_group_cpu(runs) == {"lake": 8.0, "clean": 8.0}


def test_each_run_is_compared_with_the_reference_beside_it() -> None:
    """Ratios pair what was measured at the same time, because the machine's speed swings."""
    assert figures.pair_ratios([run(10.0), run(20.0)], [run(5.0), run(20.0)]) == [0.5, 1.0]


def test_the_peak_is_the_largest_process_of_all_runs() -> None:
    """Memory is reported for the worst run."""
    assert figures.peak_mib([run(1.0, peak=3 << 20), run(1.0, peak=2 << 20)]) == {"lake": 3.0}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 50), (0.99, 99), (1.0, 99)])
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    """The value at a share of the sorted values, the last at most."""
    assert figures.percentile(list(reversed(range(100))), share) == expected


def test_a_line_waits_for_the_first_look_that_covers_its_end() -> None:
    """Every line of a segment counts from its own append."""
    appends = Appends(ends=[10, 20, 30], moments=[1.0, 1.5, 2.0])

    assert waits(appends, [(3.0, 20), (4.0, 30)]) == [2.0, 1.5, 2.0]


def test_a_segment_behind_a_gap_does_not_count_before_the_gap_is_closed() -> None:
    """With two children a later batch may be stored first; its lines are not the next ones."""
    frontier = Frontier()

    frontier.advance(1.0, [(Stage.LAKE, 0, 10), (Stage.LAKE, 20, 30)])
    frontier.advance(2.0, [(Stage.LAKE, 10, 20), (Stage.LAKE, 20, 30)])

    assert frontier.steps[Stage.LAKE] == [(1.0, 10), (2.0, 30)]
    assert frontier.steps[Stage.CLEAN] == []


def test_seconds_are_reported_as_milliseconds() -> None:
    """Median, 99th percentile and largest."""
    assert milliseconds([0.1] * 98 + [0.2, 0.3]) == {"median": 100.0, "p99": 300.0, "max": 300.0}


def test_a_moment_between_two_looks_is_in_proportion() -> None:
    """The speed of a window does not depend on when the ledger was looked at."""
    steps = [(0.0, 0), (1.0, 100), (3.0, 200)]

    assert moment(steps, 150) == 2.0
    assert speed(steps, 0, 100) == 100.0
    with pytest.raises(ValueError, match="never reached"):
        moment(steps, 201)


def test_a_track_notes_growth_only() -> None:
    """A look that finds nothing new is no step."""
    track = Track()

    for count in (5, 5, 9):
        track.note(count)

    assert [count for _, count in track.steps] == [0, 5, 9]
