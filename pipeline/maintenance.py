"""Tasks sent to the maintenance queue without Celery: what a person orders, and what goes on later."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu import Producer

from pipeline import protocol, topology
from pipeline.faults import translated
from pipeline.publish import CONFIRM_SECONDS, connect
from pipeline.settings import Settings

#: Name of the task that reads ranges again.
REPLAY_TASK = "replay.clean"


def send(
    settings: Settings, task: str, order: Mapping[str, Any], *, words: str, wait_seconds: float = 0
) -> str:
    """Publish a task with one argument to the maintenance queue; return its id once the broker holds it.

    Args:
        settings: of the broker.
        task: its name.
        order: its argument, plain values.
        words: what Flower shows in place of the argument.
        wait_seconds: that a worker holds it before it begins, beside its other work. Not by Celery's own
            `countdown`, which goes through delay queues that do not exist here (tasks/consumer.py).

    Raises:
        BrokerUnavailable, ConfigurationError: the broker did not confirm it.
    """
    task_id = str(uuid.uuid4())
    eta = datetime.now(UTC) + timedelta(seconds=wait_seconds) if wait_seconds > 0 else None
    connection = connect(settings)
    with translated(connection), connection:
        topology.declare(connection)
        Producer(connection.channel()).publish(
            protocol.body(dict(order)),
            exchange="",
            routing_key=topology.MAINTENANCE,
            serializer="msgpack",
            headers=protocol.headers(task, task_id, argsrepr=words, eta=eta),
            correlation_id=task_id,
            delivery_mode="persistent",
            mandatory=True,
            confirm_timeout=CONFIRM_SECONDS,
        )
    return task_id
