"""Which task a batch becomes: the one of the stage whose queue this worker consumes.

A published batch names `logs.batch` in its header, the same for both queues. The strategy of that task, which
Celery calls in the worker's main process, renames the delivery for the stage and hands it to Celery's own.
"""

import uuid
from collections.abc import Callable
from typing import Any

from celery import Celery, Task, shared_task
from celery.worker.strategy import default

from pipeline.probe import STAGE_HEADER
from pipeline.topology import BATCH_TASK, MAINTENANCE, Stage
from tasks import logs
from tasks.foreign import reject

#: The task of each stage.
STAGE_TASKS = {Stage.LAKE: "lake.ingest", Stage.CLEAN: "clean.transform"}


#: What a worker of the maintenance queue alone is called in metrics and logs.
MAINTAINER = "maintenance"


def consumed_stage(app: Celery) -> Stage | None:
    """Return the stage whose queue this worker consumes, None for one of the maintenance queue alone.

    Raises:
        SystemExit: it consumes both data queues, or none at all: a batch would have no single task.
    """
    queues = set(app.amqp.queues.consume_from)
    stages = [stage for stage in Stage if stage.queue_name in queues]
    if queues == {MAINTENANCE}:
        return None
    if len(stages) != 1:
        names = " or ".join(f"-Q {stage.queue_name}" for stage in Stage)
        raise SystemExit(
            f"error: a worker consumes exactly one data queue, this one {'both' if stages else 'none'}: "
            f"start it with {names}, or with -Q {MAINTENANCE} for maintenance alone"
        )
    return stages[0]


def route(task: Task, app: Celery, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return the message handler of this worker's stage."""
    stage = consumed_stage(app)
    if stage is None:
        why = "is of a stage, and came to the maintenance queue"
        return lambda message, *_, **__: reject(message, consumer.connection_errors, why)
    # A probe is one task in both stages, and reads its stage from a header.
    name = STAGE_TASKS[stage] if task.name == BATCH_TASK else task.name
    deliver: Callable[..., Any] = default(app.tasks[name], app, consumer, **options)

    def on_message(message: Any, *args: Any, **kwargs: Any) -> Any:
        headers = message.headers
        # One id a stage: with a shared one Flower shows a single task, and Celery may take the success of
        # one stage for that of the other.
        headers["id"] = message.properties["correlation_id"] = stage_task_id(headers["root_id"], stage)
        headers["task"] = name
        headers[STAGE_HEADER] = stage.value
        with logs.about(headers, name):
            return deliver(message, *args, **kwargs)

    return on_message


def stage_task_id(batch_id: str, stage: Stage) -> str:
    """Return the task id of a batch in a stage: the same at each delivery."""
    return str(uuid.uuid5(uuid.UUID(batch_id), stage.queue_name))


@shared_task(name=BATCH_TASK, Strategy=f"{__name__}:route")
def batch(_: dict[str, Any]) -> None:
    """Stand for a published batch; never runs, because `route` gives every delivery to a stage's task."""
    raise AssertionError("a batch reached the pool without its stage")
