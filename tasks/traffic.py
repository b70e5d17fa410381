"""The counts for reports, kept up on beat's schedule."""

import logging

from celery import shared_task

from db import counting
from pipeline.errors import ConfigurationError, TransientError
from tasks import stores

log = logging.getLogger(__name__)


@shared_task(name="traffic.count")
def count() -> str:
    """Count the records of the segments that are not counted yet; return how many those were, for Flower.

    A second one at the same time finds nothing to do; one that was stopped is made up for by the next.
    Reports are right all the while: they read from the records what is not counted.
    """
    try:
        segments = counting.count(stores.engine())
    except (TransientError, ConfigurationError) as error:
        log.warning("counting waits for the next time: %s", error)
        return f"not now: {error}"
    return f"counted: {segments} segments"


@shared_task(name="traffic.compact")
def compact() -> str:
    """Make rows of the counts with one key one, of the last days and an older one; return what was done."""
    try:
        counting.compact(stores.engine())
    except (TransientError, ConfigurationError) as error:
        log.warning("compacting waits for the next time: %s", error)
        return f"not now: {error}"
    return "compacted"
