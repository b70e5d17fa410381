"""Retention on beat's schedule."""

import logging

from db.expiry import Expiry
from db.retention import expire
from pipeline.retention import Kept
from tasks import stores
from tasks.scheduled import scheduled

log = logging.getLogger(__name__)

#: Most seconds of one look: the pool has its batches to store.
LOOK_SECONDS = 60.0


@scheduled("retention.expire")
def remove_expired() -> str:
    """Remove rows that are older than SLUICE_RETENTION says; return how many, for Flower.

    A second one at the same time finds it done; one that was stopped is made up for by the next, and so is
    what one has no time for.
    """
    kept = stores.settings().retention_rules
    report = expire(stores.engine(), lambda path, table: kept.days(path, Kept(table)), seconds=LOOK_SECONDS)
    _tell(report)
    noticed = f"{report.findings} findings, {report.drifts} drifts"
    return f"removed: {report.lines} lines, {len(report.partitions)} partitions, {noticed}"


def _tell(report: Expiry) -> None:
    for gone in report.gone:
        log.info(
            "retention removed %d lines, %d bytes of source %d from the %s stage",
            gone.lines, gone.bytes, gone.source_id, gone.stage,
        )  # fmt: skip
    if report.partitions:
        log.info("retention dropped the partitions %s", ", ".join(report.partitions))
    if report.findings or report.drifts:
        log.info("retention removed %d closed findings and %d drifts", report.findings, report.drifts)
    for held in report.held:
        log.warning(
            "retention keeps bytes [%d, %d) of source %d in the %s stage: %s",
            held.start, held.end, held.source_id, held.stage, held.reason,
        )  # fmt: skip
