"""The look for drifts of the sources, on beat's schedule."""

import logging

from db import drifting
from db.drifts import described
from tasks import stores
from tasks.scheduled import scheduled

log = logging.getLogger(__name__)

#: Most seconds of one look: the lake's pool has its batches to store.
LOOK_SECONDS = 20.0


@scheduled("drift.look")
def look() -> str:
    """Look at what the clean stage has stored since the last look; return how many drifts, for Flower.

    A second one at the same time keeps nothing; one that was stopped is made up for by the next, and so is
    what one has no time for.
    """
    found = drifting.look(stores.engine(), LOOK_SECONDS)
    for drift in found:
        log.warning("drift %s of source %s: %s", drift.id, drift.source_id, described(drift))
    return f"noticed: {len(found)} drifts"
