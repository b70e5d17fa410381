"""What the report on scaling says of its runs."""

from collections import Counter

from bench.figures import Run
from bench.meter import Usage
from bench.scaling import BOTH, ONE, TWO, Taken, _report
from bench.waits import Waits


def taken(seconds: float, waits: Waits | None = None) -> Taken:
    """Return a run over 1000 lines."""
    return Taken(Run(1000, seconds, Usage({"clean": 0.01})), waits or Waits(looks=50))


def test_a_second_child_is_compared_with_the_run_beside_it() -> None:
    """The ratio is of runs in turn, and looks of all runs are added up."""
    report = _report(
        {
            ONE: [taken(2.0), taken(4.0), taken(1.0)],
            TWO: [taken(1.0), taken(4.0), taken(0.8)],
            BOTH: [taken(3.0)] * 3,
        }
    )

    assert report.values["ratio"] == 1.25
    assert report.values["ratio_spread"] == [1.0, 2.0]
    assert report.values["waits"]["clean -c 2"]["looks"] == 150
    assert report.notes[-1] == "no session waited for a lock of another"


def test_waits_are_told_with_their_statement() -> None:
    """Who reads the report sees which statement waited for which kind of lock, and how often."""
    waits = Waits(looks=9, busy=4, lock=2, not_granted=2, waiting=Counter({"extend: COPY a": 1}))
    report = _report({ONE: [taken(1.0)], TWO: [taken(1.0, waits + waits)], BOTH: [taken(1.0)]})

    assert report.rows[1][5:] == [18, 8, 4, 4, 0, 0]
    assert report.notes[-1] == "clean -c 2, waited for a lock: extend: COPY a, 2 looks"
