"""The look for attacks, errors and slowness, on beat's schedule."""

import logging

from tasks import stores
from tasks.scheduled import scheduled

log = logging.getLogger(__name__)

#: Most seconds of one look: the lake's pool has its batches to store.
LOOK_SECONDS = 20.0


@scheduled("detect.look")
def look() -> str:
    """Look at what the clean stage has stored since the last look; return how many findings, for Flower.

    A second one at the same time keeps nothing; one that was stopped is made up for by the next, and so is
    what one has no time for.
    """
    found = stores.detections().look(LOOK_SECONDS)
    for finding in found:
        # Without subject and summary, which are text of lines: a log that is followed would be found again.
        log.warning(
            "finding %d: %s (%s), source %s, %d records: see python -m pipeline findings",
            finding.id, finding.rule, finding.severity, finding.source_id, finding.count,
        )  # fmt: skip
    return f"noticed: {len(found)} findings"
