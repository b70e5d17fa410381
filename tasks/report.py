"""The report of each day, on beat's schedule."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import shared_task

from db import overview
from pipeline.errors import PipelineError
from pipeline.report import nearby
from pipeline.report.answers import gathered, troubles
from pipeline.report.document import written
from pipeline.report.figures import Period, Selection
from pipeline.target import opened
from tasks import stores

log = logging.getLogger(__name__)

#: A day is reported once it is so long over: what was on its way is stored by then.
REST = timedelta(minutes=5)


@shared_task(name="report.write")
def write() -> str:
    """Write the report of yesterday (UTC), beside the day before, if it is not there; say what was done.

    It is written whole: a second one at the same time writes the same file. While something is away nothing
    is written, and the next one on the schedule is the retry.
    """
    folder = stores.settings().report_dir
    if folder is None:
        return "no folder is set"
    since = (datetime.now(UTC) - REST).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    target = folder / f"sluice-{since:%Y-%m-%d}.html"
    if target.exists():
        return "written before"
    try:
        return _write(target, Period(since, since + timedelta(days=1)))
    except PipelineError as error:
        log.warning("the report of %s waits for the next time: %s", since.date(), error)
        return f"not now: {error}"


def _write(target: Path, period: Period) -> str:
    settings = stores.settings()
    parts = overview.parts(stores.engine(), lambda: nearby.offsets(settings)) | nearby.parts(settings)
    document = gathered(parts, Selection(period), datetime.now(UTC), period.preceding())
    if problems := troubles(document.figures):
        log.warning("the report of %s waits for the next time: %s", period.since.date(), "; ".join(problems))
        return f"not now: {problems[0]}"
    with opened(str(target)) as file:
        file.write(written(document, "html"))
    log.info("wrote %s", target)
    return f"wrote {target.name}"
