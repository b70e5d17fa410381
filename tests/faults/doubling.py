"""Every message a second time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import kombu

from pipeline import topology
from pipeline.topology import ROUTING_KEY, Stage
from tests.faults.system import System


@contextmanager
def doubling(system: System) -> Iterator[list[int]]:
    """Publish every message a second time; yield a list that holds how many, once the block has ended."""
    stop, copies = threading.Event(), [0]
    url = system.settings.broker_url.get_secret_value()
    queue = kombu.Queue("copies", topology.LOGS, routing_key=ROUTING_KEY, auto_delete=True, durable=False)

    def copy(connection: kombu.Connection, message: kombu.Message) -> None:
        producer = kombu.Producer(connection.channel())
        for stage in Stage:
            producer.publish(
                message.body,
                exchange="",
                routing_key=stage.queue_name,
                headers=message.headers,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                correlation_id=message.properties["correlation_id"],
            )
        message.ack()
        copies[0] += 1

    def consume() -> None:
        with kombu.Connection(url) as connection, connection.Consumer(queue) as consumer:
            consumer.on_message = lambda message: copy(connection, message)
            ready.set()
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

    ready = threading.Event()
    thread = threading.Thread(target=consume, name="copies")
    thread.start()
    ready.wait()
    try:
        yield copies
    finally:
        stop.set()
        thread.join()
