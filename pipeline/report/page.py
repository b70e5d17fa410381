"""Which sections page and report have, and which parts they need for them."""

from collections.abc import Sequence
from datetime import datetime

from pipeline.report import noticed, state, totals, traffic
from pipeline.report.blocks import Section
from pipeline.report.figures import Compared, Figures, Selection

#: Parts that say how things are now, whatever period is selected.
STANDING = ("queues", "watched", "watches", "missing", "rates", "sources", "dead")
#: Parts of a period.
PERIODIC = (
    "traffic", "volume", "latency", "visitors", "paths", "errors", "slow", "agents", "browsers", "addresses",
    "countries", "drifts", "findings", "rejected",
)  # fmt: skip
PARTS = (*STANDING, *PERIODIC)
#: Parts of another period that is compared.
COMPARED = ("traffic", "volume", "visitors")


def sections(
    figures: Figures, selection: Selection, now: datetime, before: Compared | None = None
) -> Sequence[Section]:
    """Return the page: the figures of the selection, beside those of another period if they are given."""
    return [
        state.flow(figures, now),
        totals.overview(figures, before),
        traffic.timeline(figures, before, selection),
        noticed.section(figures),
        traffic.rankings(figures, selection),
        state.sources(figures),
        state.rejected(figures),
        state.dead_letters(figures),
    ]
