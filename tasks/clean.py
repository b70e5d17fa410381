"""The clean stage: parse the lines of a batch into typed records."""

from typing import Any

from celery import shared_task

from pipeline.topology import Stage
from tasks import stores
from tasks.delivery import StageTask
from tasks.routing import STAGE_TASKS


@shared_task(
    bind=True,
    base=StageTask,
    name=STAGE_TASKS[Stage.CLEAN],
    stage=Stage.CLEAN,
)
def transform(self: StageTask, envelope: dict[str, Any]) -> str:
    """Store the batch in `clean_records` and `rejected_lines`; a redelivery stores nothing."""
    return self.deliver(envelope, stores.clean().store)
