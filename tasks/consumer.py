"""The worker's consumer: Celery's own, without what would lose or delay a message of ours."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from amqp.exceptions import ConsumerCancelled
from celery import bootsteps
from celery.worker.consumer import Consumer as CeleryConsumer

from tasks import metrics

log = logging.getLogger(__name__)

#: Celery's delay queues for ETAs on quorum queues: 28 queues on the broker that nothing here uses, since a
#: retry waits in its worker and then goes to the end of its own queue.
UNUSED_STEPS = {"celery.worker.consumer.delayed_delivery:DelayedDelivery"}

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

    def connect(self) -> Any:
        """Return a connection, one to a broker that was away after the time its queues need."""
        began = time.monotonic()
        connection = super().connect()
        if self.restart_count > 1 or time.monotonic() - began > AT_ONCE_SECONDS:
            time.sleep(ELECTION_SECONDS)
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

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject the message, so that the broker dead-letters it; Celery would acknowledge and so lose it."""
        log.error(
            "a message that cannot be decoded (%s, %d bytes) goes to the dead letters: %s",
            ascii(message.content_type), len(message.body or b""), type(exc).__name__,
        )  # fmt: skip
        metrics.note_end(metrics.PULSE.name, "undecodable")
        message.reject_log_error(log, self.connection_errors)


def cancelled_queue(error: ConsumerCancelled, tags: Mapping[str, str]) -> str:
    """Return the name of the queue whose consumer tag the broker cancelled, else those it may be."""
    names = [name for name, tag in tags.items() if tag == error.reply_text]
    return " or ".join(names or sorted(tags)) or "a queue"
