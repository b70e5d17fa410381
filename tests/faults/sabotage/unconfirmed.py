"""A watcher whose publisher asks for no confirm, so that its checkpoint runs ahead of the broker."""

import sys
import threading
from collections.abc import Iterator, Sequence

from kombu import Connection, Producer

from pipeline import protocol, topology
from pipeline.batch import Batch
from pipeline.settings import Settings
from pipeline.watcher import Watcher


class Unconfirmed:
    """Sends, and believes."""

    def __init__(self, settings: Settings) -> None:
        self._connection = Connection(settings.broker_url.get_secret_value())
        topology.declare(self._connection)
        self._producer = Producer(self._connection.channel())

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Yield each batch when its bytes are in the buffer of the socket."""
        for batch in batches:
            self._producer.publish(
                protocol.body(batch.encode()),
                exchange=topology.LOGS.name,
                routing_key=topology.ROUTING_KEY,
                serializer="msgpack",
                headers=protocol.headers(topology.BATCH_TASK, batch.id, argsrepr=repr(batch)),
                correlation_id=batch.id,
                delivery_mode="persistent",
            )
            yield batch


if __name__ == "__main__":
    own = Settings.from_environment()
    Watcher(own, sys.argv[1:], Unconfirmed(own)).run(threading.Event())
