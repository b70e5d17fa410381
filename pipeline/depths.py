"""How many messages wait in each queue and in its dead-letter queue."""

from typing import Any, NamedTuple

from kombu.exceptions import OperationalError

from pipeline import topology
from pipeline.errors import BrokerUnavailable
from pipeline.publish import connect
from pipeline.settings import Settings


class Depth(NamedTuple):
    """Messages ready for delivery; what a worker holds unacknowledged is not counted by the broker here."""

    messages: int
    dead: int


def queue_depths(settings: Settings) -> dict[str, Depth]:
    """Return the depth of every live queue by name; a queue that does not exist has depth 0.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    connection = connect(settings)
    try:
        with connection:
            return {
                queue.name: Depth(
                    _count(connection, queue.name), _count(connection, topology.dead_name(queue.name))
                )
                for queue in topology.LIVE_QUEUES
            }
    except (*connection.connection_errors, OperationalError, OSError) as error:
        raise BrokerUnavailable(f"BROKER_URL: the broker does not answer: {error}") from error


def _count(connection: Any, name: str) -> int:
    # A passive declaration of a missing queue closes its channel, hence a channel each.
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue=name, passive=True).message_count)
    except connection.channel_errors:
        return 0
