"""A queue that is deleted under its consumer is named by what the broker says."""

import kombu
import pytest
from amqp.exceptions import ConsumerCancelled

from pipeline import publish, topology
from pipeline.publish import connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.consumer import cancelled_queue


def test_the_deleted_queue_is_named(rabbitmq: Settings) -> None:
    """Of several queues that a worker consumes, the cancelled one is the deleted one."""
    publish.check(rabbitmq)
    consumed = [topology.DATA_QUEUES[Stage.LAKE], topology.MAINTENANCE_QUEUE]
    with connect(rabbitmq) as connection, kombu.Consumer(connection, consumed, callbacks=[print]) as consumer:
        with connect(rabbitmq) as other, other.channel() as channel:
            channel.queue_delete(Stage.LAKE.queue_name)

        with pytest.raises(ConsumerCancelled) as cancelled:
            connection.drain_events(timeout=60)

        assert cancelled_queue(cancelled.value, consumer._active_tags) == Stage.LAKE.queue_name


def test_an_unknown_tag_names_what_it_may_be() -> None:
    """Without its tag, every consumed queue is named."""
    error = ConsumerCancelled("other", (60, 30))

    assert cancelled_queue(error, {"b": "1", "a": "2"}) == "a or b"
    assert cancelled_queue(error, {}) == "a queue"
