"""The map of the system: one exchange, one routing key, two data queues and their dead-letter queues.

    watcher ──▶ exchange "logs" (direct, durable)
                     │ routing key "logs"
         ┌───────────┴────────────┐
    queue-data-lake          queue-data-clean           queue-maintenance ◀── beat
         │ rejected               │ rejected                 │ rejected
    queue-data-lake.dead     queue-data-clean.dead      queue-maintenance.dead

Everything that needs a queue takes it from here; no other module spells a name.
"""

from copy import copy
from enum import StrEnum
from typing import Any

from amqp.exceptions import AccessRefused, NotFound
from kombu import Connection, Exchange, Queue

from pipeline.errors import ConfigurationError
from pipeline.faults import translated

#: The one routing key; both data queues are bound with it.
ROUTING_KEY = "logs"
#: The name in the task header of a published batch; each pool turns it into the task of its stage.
BATCH_TASK = "logs.batch"
#: Redeliveries of one message before the broker dead-letters it: a batch that kills its worker stops here.
DELIVERY_LIMIT = 20

LOGS = Exchange("logs", type="direct", durable=True)


class Stage(StrEnum):
    """What one data queue feeds."""

    LAKE = "lake"
    CLEAN = "clean"

    @property
    def queue_name(self) -> str:
        """Name of the queue that feeds this stage."""
        return f"queue-data-{self.value}"


#: What beat schedules; every lake pool consumes it beside its data queue.
MAINTENANCE = "queue-maintenance"


def dead_name(queue_name: str) -> str:
    """Return the name of a queue's dead-letter queue."""
    return f"{queue_name}.dead"


def live_arguments(queue_name: str) -> dict[str, Any]:
    """Return RabbitMQ's arguments for a queue that must neither lose a message nor circle it for ever.

    Dead-lettering goes through the default exchange straight to the queue's own dead-letter queue, at
    least once, which RabbitMQ grants to quorum queues with `reject-publish` only
    (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering).
    """
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_name(queue_name),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def dead_arguments() -> dict[str, Any]:
    """Return RabbitMQ's arguments for a dead-letter queue.

    Each look at a dead letter is a delivery given back, and RabbitMQ 4 drops a message after 20 of them
    where no other limit is set.
    """
    return {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


def _data_queue(stage: Stage) -> Queue:
    name = stage.queue_name
    return Queue(name, LOGS, routing_key=ROUTING_KEY, queue_arguments=live_arguments(name))


def _own_queue(name: str, arguments: dict[str, Any]) -> Queue:
    # No exchange: such a queue is reached by its name through the default exchange.
    return Queue(name, routing_key=name, queue_arguments=arguments)


DATA_QUEUES = {stage: _data_queue(stage) for stage in Stage}
MAINTENANCE_QUEUE = _own_queue(MAINTENANCE, live_arguments(MAINTENANCE))
LIVE_QUEUES = (*DATA_QUEUES.values(), MAINTENANCE_QUEUE)
DEAD_QUEUES = tuple(_own_queue(dead_name(queue.name), dead_arguments()) for queue in LIVE_QUEUES)


def undeclared(queue: Queue) -> Queue:
    """Return the queue as one that kombu and Celery use and never declare by themselves."""
    twin = copy(queue)
    twin.no_declare = True
    return twin


def declare(connection: Connection) -> None:
    """Declare the exchange, every queue and both bindings; a second call changes nothing.

    The broker answers each step, so a return without an error means that both bindings are there. A user
    who may not declare needs everything to be there already (`provision rabbitmq`); a binding cannot be seen
    by such a one, and beat's probes tell of it.

    Raises:
        ConfigurationError: a queue or the exchange exists with other properties, or is not there and this
            user may not declare it.
        BrokerUnavailable: the broker does not answer.
    """
    with translated(connection):
        try:
            with connection.channel() as channel:
                LOGS(channel).declare()
                for queue in (*DEAD_QUEUES, *LIVE_QUEUES):
                    queue(channel).declare()
        except AccessRefused:
            _require(connection)


def _require(connection: Connection) -> None:
    for part in (LOGS, *DEAD_QUEUES, *LIVE_QUEUES):
        try:
            is_seen(connection, part)
        except NotFound as error:
            raise ConfigurationError(
                f"BROKER_URL: {error.reply_text}; this user may not make it: "
                "import what `provision rabbitmq` writes, or use a user who may configure it"
            ) from error


def is_seen(connection: Connection, part: Exchange | Queue) -> bool:
    """Ask for an exchange or a queue, and make nothing; return False where it is not for this user to see.

    RabbitMQ 4.2.6 and later hide it from who has no right to it at all: beat's probes tell of it.

    Raises:
        NotFound, another error of a channel: it is not there.
    """
    # The broker closes the channel with its refusal, hence a channel each; a refused login is another thing.
    with connection.channel() as channel:
        try:
            if isinstance(part, Exchange):
                channel.exchange_declare(exchange=part.name, type=part.type, passive=True)
            else:
                channel.queue_declare(queue=part.name, passive=True)
        except AccessRefused:
            return False
    return True
