"""The counts for reports, kept up on beat's schedule."""

from db import counting
from tasks import stores
from tasks.scheduled import scheduled


@scheduled("traffic.count")
def count() -> str:
    """Count the records of the segments that are not counted yet; return how many those were, for Flower.

    A second one at the same time finds nothing to do; one that was stopped is made up for by the next.
    Reports are right all the while: they read from the records what is not counted.
    """
    segments = counting.count(stores.engine())
    return f"counted: {segments} segments"


@scheduled("traffic.compact")
def compact() -> str:
    """Make rows of the counts with one key one, of the last days and an older one; return what was done."""
    counting.compact(stores.engine())
    return "compacted"
