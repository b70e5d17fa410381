"""A watcher whose publisher asks for no confirm, so that its checkpoint runs ahead of the broker."""

import sys
import threading

from kombu import Connection, Producer

from pipeline import topology
from pipeline.batch import Batch
from pipeline.publish import _headers
from pipeline.settings import Settings
from pipeline.watcher import Watcher


class Unconfirmed:
    """Sends, and believes."""

    def __init__(self, settings: Settings) -> None:
        self._connection = Connection(settings.broker_url.get_secret_value())
        topology.declare(self._connection)
        self._producer = Producer(self._connection.channel())

    def publish(self, batch: Batch) -> None:
        """Return when the bytes are in the buffer of the socket."""
        self._producer.publish(
            ((batch.encode(),), {}, {}),
            exchange=topology.LOGS.name,
            routing_key=topology.ROUTING_KEY,
            serializer="msgpack",
            headers=_headers(batch, topology.BATCH_TASK),
            correlation_id=batch.id,
            delivery_mode="persistent",
        )


if __name__ == "__main__":
    own = Settings.from_environment()
    Watcher(own, sys.argv[1:], Unconfirmed(own)).run(threading.Event())
