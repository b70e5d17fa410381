"""Replay of dead letters on beat's schedule."""

from pipeline import dead
from pipeline.topology import Stage
from tasks import stores
from tasks.scheduled import scheduled

#: How often a dead letter is published again without a person: the cause may have been mended meanwhile.
REPLAYS = 3


@scheduled("dead.replay")
def replay(*, readable_now: bool = False) -> str:
    """Publish dead letters to their queue again, each up to `REPLAYS` times; return how many, for Flower.

    With `readable_now` only those that a version with other formats gave up, however often they were tried:
    this one may read them. What is no batch of a version that this worker reads stays where it is.
    """
    choose = _may_be_readable_now if readable_now else _is_worth_a_try
    counts = {stage: dead.replay(stores.settings(), stage.queue_name, choose) for stage in Stage}
    return ", ".join(f"{stage}: {count} replayed" for stage, count in counts.items())


def _is_worth_a_try(letter: dead.DeadLetter) -> bool:
    return letter.batch is not None and letter.replays < REPLAYS


def _may_be_readable_now(letter: dead.DeadLetter) -> bool:
    return letter.batch is not None and letter.reader not in ("", dead.reader())
