"""The lake stage: keep every line of a batch, byte for byte."""

from typing import Any

from celery import shared_task

from pipeline.topology import Stage
from tasks import stores
from tasks.delivery import StageTask
from tasks.routing import STAGE_TASKS


@shared_task(bind=True, base=StageTask, name=STAGE_TASKS[Stage.LAKE], stage=Stage.LAKE)
def ingest(self: StageTask, envelope: dict[str, Any]) -> str:
    """Store the batch in `raw_logs`; acknowledged after the commit, and a redelivery stores nothing."""
    return self.deliver(envelope, stores.lake().store)
