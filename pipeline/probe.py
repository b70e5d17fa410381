"""Is the topology as it should be? Look at each part of it by name, and send a probe through the exchange.

AMQP has no question for a binding. So a probe goes the way of a batch, published once through the exchange,
and must arrive in each stage; it is sent before anything is declared again, which would mend what it finds.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu
from amqp.exceptions import AccessRefused

from pipeline import protocol, topology
from pipeline.faults import translated
from pipeline.publish import CONFIRM_SECONDS, connect
from pipeline.settings import Settings

#: Name of the probe's task, the same for both queues.
PROBE_TASK = "logs.probe"
#: Header in which a pool notes its stage on each delivery.
STAGE_HEADER = "sluice_stage"


def send(settings: Settings, probe_id: uuid.UUID) -> str | None:
    """Publish a probe through the exchange; return what the broker has against it, None if it took it.

    Raises:
        BrokerUnavailable, ConfigurationError: the broker does not let anyone in.
    """
    with _connected(settings) as connection:
        try:
            with connection.channel() as channel:
                _publish(channel, str(probe_id))
        except (
            *connection.channel_errors,
            FileNotFoundError,
        ) as error:  # the latter: embedded, a folder is gone
            return f"refuses what is published: {error}"
    return None


def _publish(channel: Any, probe_id: str) -> None:
    kombu.Producer(channel).publish(
        protocol.body(probe_id),
        exchange=topology.LOGS.name,
        routing_key=topology.ROUTING_KEY,
        serializer="msgpack",
        headers=protocol.headers(PROBE_TASK, probe_id),
        correlation_id=probe_id,
        delivery_mode="persistent",
        confirm_timeout=CONFIRM_SECONDS,
    )


def examine(settings: Settings) -> dict[str, str | None]:
    """Look at the exchange and every queue, declare what is gone; return what is wrong with each, by name.

    Raises:
        BrokerUnavailable, ConfigurationError: the broker does not let anyone in.
    """
    with _connected(settings) as connection:
        # The embedded broker has no exchange apart from its bindings.
        gone = not settings.embedded_broker and _is_gone(connection, topology.LOGS)
        found = {topology.LOGS.name: _declared(connection, topology.LOGS, gone=gone)}
        for queue in (*topology.DEAD_QUEUES, *topology.LIVE_QUEUES):
            gone = _is_gone(connection, queue)
            found[queue.name] = _declared(connection, queue, gone=gone)
    return found


def _is_gone(connection: Any, part: Any) -> bool:
    try:
        topology.is_seen(connection, part)
    except connection.channel_errors:
        return True
    return False  # as far as this user sees; what goes through it shows more


def _declared(connection: Any, part: Any, *, gone: bool) -> str | None:
    try:
        with connection.channel() as channel:
            part(channel).declare()
    except AccessRefused as error:
        # A user without the right to declare sees only whether it is there.
        return f"is gone, and this user may not declare it: {error}" if gone else None
    except connection.channel_errors as error:
        state = "is gone and cannot be declared" if gone else "is not as it should be"
        return f"{state}: {error}"
    return "was gone: declared again" if gone else None


@contextmanager
def _connected(settings: Settings) -> Iterator[Any]:
    connection = connect(settings)
    with translated(connection), connection:
        yield connection
