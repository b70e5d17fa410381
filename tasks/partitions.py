"""Partitions made ahead on beat's schedule."""

import logging

from celery import shared_task

from db import partitions
from pipeline.errors import ConfigurationError, TransientError
from tasks import stores

log = logging.getLogger(__name__)


@shared_task(name="partitions.prepare")
def prepare() -> str:
    """Make the partitions of the coming months; return their names, for Flower.

    A second one at the same time waits and finds nothing to do. Without a partition lines are stored all the
    same, so what cannot be done now is told and left to the next one on the schedule.
    """
    try:
        made = partitions.prepare(stores.engine())
    except (TransientError, ConfigurationError) as error:
        log.warning("partitions wait for the next time: %s", error)
        return f"not now: {error}"
    return f"made: {', '.join(made) or 'none was due'}"
