"""How many messages wait in each queue and in its dead-letter queue."""

from typing import Any, NamedTuple

from amqp.exceptions import AccessRefused

from pipeline import topology
from pipeline.faults import translated
from pipeline.publish import connect
from pipeline.settings import Settings


class Depth(NamedTuple):
    """Messages ready for delivery; what a worker holds unacknowledged is not counted by the broker here."""

    messages: int
    dead: int


def queue_depths(settings: Settings) -> dict[str, Depth]:
    """Return the depth of every live queue by name; a queue that does not exist has depth 0.

    Raises:
        BrokerUnavailable, ConfigurationError: see `pipeline.faults`.
    """
    connection = connect(settings)
    with translated(connection), connection:
        return {
            queue.name: Depth(
                _count(connection, queue.name), _count(connection, topology.dead_name(queue.name))
            )
            for queue in topology.LIVE_QUEUES
        }


def _count(connection: Any, name: str) -> int:
    # A passive declaration of a missing queue closes its channel, hence a channel each.
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue=name, passive=True).message_count)
    except AccessRefused:
        raise  # RabbitMQ 4.2.6 and later hide a queue from who has no right to it: that is no depth of 0
    except connection.channel_errors:
        return 0
