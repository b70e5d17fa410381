"""The lake's hash chain closed on beat's schedule."""

import logging

from celery import shared_task

from db import seals
from pipeline.errors import ConfigurationError, TransientError
from tasks import stores

log = logging.getLogger(__name__)


@shared_task(name="seals.close")
def close() -> str:
    """Seal what the lake stored on the days that have ended; return how many seals, for Flower.

    A second one at the same time adds nothing; what cannot be done now is left to the next one.
    """
    try:
        count = seals.close(stores.engine(), stores.settings().seal_keys)
    except (TransientError, ConfigurationError) as error:
        log.warning("the chain is closed the next time: %s", error)
        return f"not now: {error}"
    return f"sealed: {count} seals"
