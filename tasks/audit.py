"""Audit and repair on beat's schedule."""

import logging
from datetime import UTC, datetime

from db.engine import transaction
from db.noting import note
from pipeline.detect.sighting import Sighting
from pipeline.publish import Publisher
from tasks import stores
from tasks.repair import Missing, RepairReport, repair
from tasks.scheduled import scheduled

log = logging.getLogger(__name__)

#: What the last audit of this process found missing: most of it was on its way.
_before: Missing = {}


@scheduled("audit.repair")
def audit_and_repair() -> str:
    """Publish again what a stage has missed for two audits in a row; return what was done, for Flower.

    A second one at the same time does no harm: the ledger stores a range once. While the broker or the
    database is away there is nothing to repair with; the next one on the schedule is the retry.
    """
    with Publisher(stores.settings()) as publisher:
        report = repair(stores.settings(), stores.engine(), publisher, _before)
    _note(report)
    _before.clear()
    _before.update(report.missing)
    _tell(report)
    return ", ".join(
        f"{stage}: {size} bytes published again" for stage, size in report.published_bytes.items()
    )


def _note(report: RepairReport) -> None:
    """Keep what cannot be had any more as findings: who is told of those is told of this too."""
    if not report.unavailable:
        return
    now = datetime.now(UTC)
    found = [
        Sighting(
            "loss", "audit", "critical", f"{lost.stage} stage of {lost.path}", now, now, 1,
            f"bytes [{lost.start}, {lost.end}) are missing and cannot be had: {lost.reason}",
        )
        for lost in report.unavailable
    ]  # fmt: skip
    with transaction(stores.engine()) as connection:
        note(connection, None, found, now)


def _tell(report: RepairReport) -> None:
    for stage, size in report.published_bytes.items():
        if size:
            log.warning("the %s stage missed %d bytes: published again", stage, size)
    for lost in report.unavailable:
        log.error(
            "the %s stage misses bytes [%d, %d) of %s, and they cannot be had: %s",
            lost.stage, lost.start, lost.end, ascii(lost.path), lost.reason,
        )  # fmt: skip
