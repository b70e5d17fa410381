"""Publish batches once, and wait for the broker's confirms."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from kombu import Connection, Producer

from pipeline import embedded, protocol, signing, topology
from pipeline.batch import Batch
from pipeline.confirms import Confirms
from pipeline.errors import BrokerUnavailable, ConfigurationError
from pipeline.settings import Settings
from pipeline.unpacking import refuse_compression

log = logging.getLogger(__name__)

# Here, because whoever connects has imported this module.
refuse_compression()

#: Seconds to wait for a confirm before the connection is given up; the batch is then published again.
CONFIRM_SECONDS = 15.0
#: Seconds that a peer has for its part of the end of a connection.
CLOSE_SECONDS = 1.0
#: Seconds to wait for a connection.
CONNECT_SECONDS = 5.0


def broker_options(settings: Settings) -> dict[str, Any]:
    """Return kombu's transport options: confirms on RabbitMQ, the folder in embedded mode."""
    if settings.embedded_broker:
        return embedded.transport_options(settings.broker_dir)
    return {"confirm_publish": True, "confirm_timeout": CONFIRM_SECONDS}


def connect(settings: Settings, *, confirms: bool = True) -> Connection:
    """Return a connection that is not opened yet; without `confirms` a publish on it waits for none.

    Heartbeats are off: each publish waits for its confirm with a deadline of its own, and a heartbeat frame
    would start that wait anew (py-amqp counts the time-out from the last frame of any kind).
    """
    url = settings.broker_url.get_secret_value()
    options = broker_options(settings)
    if not confirms:
        options.pop("confirm_publish", None)
    return Connection(
        url,
        connect_timeout=CONNECT_SECONDS,
        heartbeat=0,
        transport_options=options,
        ssl=settings.broker_tls or False,
    )


class Publisher:
    """Publishes batches over one connection; not for use by two threads at once.

    A batch whose `publish` returned is held by the broker in both queues, or in the one queue named. After an
    error the connection is dropped: its channel may be closed, and a message half written.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._confirms: Confirms | None = None
        self._served = False

    def __enter__(self) -> Self:
        """Return the publisher; it connects at the first publish."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Drop the connection; the next publish makes a new one."""
        connection = self._connection
        self._connection = self._producer = self._confirms = None
        if connection is not None:
            with suppress(
                Exception
            ):  # TLS says goodbye, and would wait for ever for a peer that reads nothing
                if connection.connected:
                    connection.connection.sock.settimeout(CLOSE_SECONDS)
            with suppress(Exception):  # whatever a dying connection says, it is gone
                connection.collect()

    def publish(self, batch: Batch, stage: topology.Stage | None = None) -> None:
        """Publish to both queues through the exchange, or to one stage's queue alone (a repair).

        Raises:
            BrokerUnavailable: no confirm; the batch may or may not be in the queues, publish it again.
            ConfigurationError: at the first publish: the broker refuses the topology or the credentials.
        """
        with self._mended(batch):
            confirm = self._send(batch, stage)
            if confirm is not None:
                confirm()

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Publish batches in order to both queues, and yield each when it is confirmed.

        On RabbitMQ all are sent before the first confirm is waited for, so it writes several at once.

        Raises:
            BrokerUnavailable, ConfigurationError: as `publish`, of the first batch that is not yielded.
        """
        sent: list[tuple[Batch, Callable[[], None]]] = []
        for batch in batches:
            with self._mended(batch):
                confirm = self._send(batch, None)
            if confirm is None:
                yield batch
            else:
                sent.append((batch, confirm))
        for batch, confirm in sent:
            with self._mended(batch):
                confirm()
            yield batch

    @contextmanager
    def _mended(self, batch: Batch) -> Iterator[None]:
        """Drop the connection after any error, and say what it means for the caller."""
        try:
            yield
            self._served = True
        except ConfigurationError as error:
            self.close()
            if not self._served:
                raise
            # It worked before: whoever changed the broker may change it back, and the lines can wait.
            raise BrokerUnavailable(str(error)) from error
        except BrokerUnavailable:
            self.close()
            raise
        except Exception as error:  # py-amqp, kombu and sockets share no base class
            self.close()
            raise BrokerUnavailable(f"{batch!r} was not confirmed: {error}") from error

    def _send(self, batch: Batch, stage: topology.Stage | None) -> Callable[[], None] | None:
        """Send a batch; return what waits for its confirm, None where the embedded transport has it now."""
        producer = self._ready()
        exchange = "" if stage else topology.LOGS.name
        body = protocol.body(signing.signed(batch.encode(), self._settings.signing_keys))
        confirms = self._confirms
        number = confirms.expect() if confirms else 0
        producer.publish(
            body,
            exchange=exchange,
            routing_key=stage.queue_name if stage else topology.ROUTING_KEY,
            serializer="msgpack",
            headers={
                **protocol.headers(
                    topology.BATCH_TASK,
                    batch.id,
                    argsrepr=repr(batch),
                    origin=f"watcher@{batch.source.host}",
                ),
                protocol.PUBLISHED_HEADER: time.time(),
            },
            correlation_id=batch.id,
            delivery_mode="persistent",
            mandatory=True,
            timeout=CONFIRM_SECONDS,
        )
        return partial(confirms.wait, number, CONFIRM_SECONDS) if confirms else None

    def _ready(self) -> Producer:
        if self._producer is None:
            self._connection = connect(self._settings, confirms=False)
            topology.declare(self._connection)
            channel = self._connection.channel()
            self._confirms = None if self._settings.embedded_broker else Confirms(channel)
            self._producer = Producer(channel)
        return self._producer


def check(settings: Settings) -> None:
    """Connect, and declare the topology.

    Raises:
        BrokerUnavailable, ConfigurationError: as `topology.declare`.
    """
    with connect(settings) as connection:
        topology.declare(connection)
