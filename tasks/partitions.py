"""Partitions made ahead on beat's schedule."""

from db import partitions
from tasks import stores
from tasks.scheduled import scheduled


@scheduled("partitions.prepare")
def prepare() -> str:
    """Make the partitions of the coming months; return their names, for Flower.

    A second one at the same time waits and finds nothing to do. Without a partition lines are stored all the
    same, so what cannot be done now is told and left to the next one on the schedule.
    """
    made = partitions.prepare(stores.engine())
    return f"made: {', '.join(made) or 'none was due'}"
