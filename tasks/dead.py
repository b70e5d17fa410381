"""Replay of dead letters on beat's schedule."""

import logging

from celery import shared_task

from pipeline import dead
from pipeline.errors import TransientError
from pipeline.topology import Stage
from tasks import stores

log = logging.getLogger(__name__)

#: How often a dead letter is published again without a person: the cause may have been mended meanwhile.
REPLAYS = 3


@shared_task(name="dead.replay")
def replay() -> str:
    """Publish dead letters to their queue again, each up to `REPLAYS` times; return how many, for Flower.

    What is no batch of a version that this worker reads stays where it is.
    """
    try:
        counts = {stage: dead.replay(stores.settings(), stage.queue_name, _is_worth_a_try) for stage in Stage}
    except TransientError as error:
        log.warning("dead letters wait for the next time: %s", error)
        return f"not now: {error}"
    return ", ".join(f"{stage}: {count} replayed" for stage, count in counts.items())


def _is_worth_a_try(letter: dead.DeadLetter) -> bool:
    return letter.batch is not None and letter.replays < REPLAYS
