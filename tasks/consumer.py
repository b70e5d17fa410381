"""The worker's consumer: Celery's own, without what would lose or delay a message of ours."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from amqp.exceptions import ConsumerCancelled
from celery import bootsteps
from celery.worker.consumer import Consumer as CeleryConsumer

from pipeline import topology
from pipeline.errors import PipelineError
from tasks import foreign, metrics

log = logging.getLogger(__name__)

#: Celery's delay queues for ETAs on quorum queues: 28 queues on the broker that nothing here uses, since a
#: retry waits in its worker and then goes to the end of its own queue.
UNUSED_STEPS = {"celery.worker.consumer.delayed_delivery:DelayedDelivery"}

#: Pools need not know each other: to ask for neighbours costs a second at each start, to listen to them a
#: queue each, and both would need more permissions on the broker.
SOLITARY = {"without_gossip": True, "without_mingle": True}

#: Seconds between a connection to a broker that was away and the first consume. A quorum queue of RabbitMQ
#: 3.10 elects its leader within half a second of the first login; a consume that comes before makes it forget
#: the election, and the queue stands still (541 INTERNAL_ERROR) until an operator helps: docs/reliability.md.
ELECTION_SECONDS = 2.0
#: A connection that took longer had to be tried again: Celery waits two seconds before its second attempt.
AT_ONCE_SECONDS = 1.0


#: Seconds between two signs of life.
SIGN_SECONDS = 5.0


class SignsOfLife(bootsteps.StartStopStep):  # type: ignore[misc,unused-ignore]
    """Signs of life from the consumer's loop, while it consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin; Celery calls this after each connect."""
        metrics.PULSE.beat()
        self._timer = parent.timer.call_repeatedly(SIGN_SECONDS, metrics.PULSE.beat)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End; Celery calls this when the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()


class Consumer(CeleryConsumer):
    """Celery's consumer, which keeps what it cannot decode."""

    class Blueprint(CeleryConsumer.Blueprint):
        """Celery's steps but the delay queues."""

        default_steps = [  # noqa: RUF012 - Celery's attribute
            step for step in CeleryConsumer.Blueprint.default_steps if step not in UNUSED_STEPS
        ]

    def __init__(self, *args: Any, worker_options: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*args, worker_options={**(worker_options or {}), **SOLITARY}, **options)

    def connect(self) -> Any:
        """Return a connection on which the queues are declared.

        One to a broker that was away comes after the time that its queues need.
        """
        began = time.monotonic()
        connection = super().connect()
        if self.restart_count > 1 or time.monotonic() - began > AT_ONCE_SECONDS:
            time.sleep(ELECTION_SECONDS)
        try:
            topology.declare(connection)
        except PipelineError as error:
            # The consume that follows fails for the same reason, and is tried again until it works.
            log.error("the queues are not as they should be: %s", error)  # noqa: TRY400 - the text says it all
        return connection

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Name the queue that was deleted, before Celery connects again and so declares it again."""
        if isinstance(exc, ConsumerCancelled):
            tags = getattr(self.task_consumer, "_active_tags", {})
            log.error(
                "%s was deleted, or its node went away: declared again; audit and repair find what was in it",
                cancelled_queue(exc, tags),
            )
        super().on_connection_error_after_connected(exc)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[..., Any]:
        """Return Celery's handler, which no message can end the worker with."""
        return foreign.guarded(super().create_task_handler(*args, **options), self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject the message, so that the broker dead-letters it; Celery would acknowledge and so lose it."""
        foreign.reject(message, self.connection_errors, f"cannot be decoded: {type(exc).__name__}")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Reject what is no task; Celery would log its body."""
        foreign.reject(message, self.connection_errors, "is no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Reject what names no task of ours; Celery would log its body and send its name to Flower."""
        foreign.reject(message, self.connection_errors, f"names no task of ours: {ascii(str(exc))[:80]}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        """Reject what is no proper task; Celery would log its body."""
        foreign.reject(message, self.connection_errors, f"is no proper task: {type(exc).__name__}")


def cancelled_queue(error: ConsumerCancelled, tags: Mapping[str, str]) -> str:
    """Return the name of the queue whose consumer tag the broker cancelled, else those it may be."""
    names = [name for name, tag in tags.items() if tag == error.reply_text]
    return " or ".join(names or sorted(tags)) or "a queue"
