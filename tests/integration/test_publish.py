"""Publishing on both transports: one publish, two queues, a confirm or an error."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import kombu
import pytest
from pydantic import SecretStr

from pipeline import topology
from pipeline.batch import Batch, Source
from pipeline.confirms import Confirms
from pipeline.depths import queue_depths
from pipeline.errors import BrokerUnavailable, ConfigurationError
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage, dead_name
from tests.services import PrivateRabbit, ServiceMissing, wait_until

SOURCE = Source(key="ab" * 16, host="web-1", path="/var/log/access.log")
LAKE, CLEAN = (stage.queue_name for stage in Stage)


def make_batch(number: int = 0) -> Batch:
    """Return a batch of one line."""
    return Batch(SOURCE, number * 5, b"line\n")


@pytest.fixture
def rabbit() -> Iterator[PrivateRabbit]:
    """A RabbitMQ of this test's own, to stop and start."""
    try:
        with PrivateRabbit() as node:
            yield node
    except ServiceMissing as reason:
        pytest.skip(str(reason))


def depths(settings: Settings) -> tuple[int, int]:
    """Return the messages that wait in the lake's and in the clean queue."""
    found = queue_depths(settings)
    return found[LAKE].messages, found[CLEAN].messages


def get(settings: Settings, name: str) -> kombu.Message | None:
    """Take one message of a queue, if there is one."""
    with connect(settings) as connection, connection.channel() as channel:
        message = kombu.Queue(name, no_declare=True)(channel).get(accept=["msgpack"])
        if message:
            message.decode()
            message.ack()
        return message


def test_one_publish_is_one_delivery_in_each_queue(transport: Settings) -> None:
    """Three publishes make three messages in each queue, and each is the batch."""
    with Publisher(transport) as publisher:
        for number in range(3):
            publisher.publish(make_batch(number))

    wait_until(lambda: depths(transport) == (3, 3), "three messages in each queue")
    for name in (LAKE, CLEAN):
        message = get(transport, name)
        assert message is not None
        assert message.headers["task"] == topology.BATCH_TASK
        assert Batch.decode(message.payload[0][0]) == make_batch(0)


def test_several_are_sent_before_the_first_confirm(transport: Settings) -> None:
    """Batches published together are confirmed one after the other, and stand in both queues in order."""
    batches = [make_batch(number) for number in range(4)]
    with Publisher(transport) as publisher:
        assert list(publisher.publish_all(batches)) == batches
        assert list(publisher.publish_all([])) == []
        publisher.publish(make_batch(4))

    wait_until(lambda: depths(transport) == (5, 5), "five messages in each queue")
    for number in range(5):
        message = get(transport, CLEAN)
        assert message is not None
        assert Batch.decode(message.payload[0][0]) == make_batch(number)


def test_repair_reaches_one_queue_alone(transport: Settings) -> None:
    """A publish for one stage does not travel through the exchange."""
    with Publisher(transport) as publisher:
        publisher.publish(make_batch(), Stage.CLEAN)

    wait_until(lambda: depths(transport) == (0, 1), "one message in the clean queue")


def test_headers_name_the_batch_without_its_lines(transport: Settings) -> None:
    """What Flower, events and logs show of the arguments is the batch's name."""
    with Publisher(transport) as publisher:
        publisher.publish(make_batch())
    message = wait_until(lambda: get(transport, LAKE), "the message")

    assert "line\\n" not in str(message.headers)
    assert message.headers["argsrepr"] == repr(make_batch())
    assert message.headers["root_id"] == make_batch().id


def test_missing_queues_count_as_empty(transport: Settings) -> None:
    """Depths of a broker that knows nothing of Sluice yet are zero."""
    assert depths(transport) == (0, 0)


def test_unreachable_broker_is_unavailable(tmp_path: Path) -> None:
    """A refused connection is an error to wait for."""
    settings = Settings.from_environment(
        state_dir=tmp_path, broker_url=SecretStr("amqp://guest:guest@127.0.0.1:1//")
    )

    with Publisher(settings) as publisher, pytest.raises(BrokerUnavailable):
        publisher.publish(make_batch())
    with pytest.raises(BrokerUnavailable):
        queue_depths(settings)


def test_exchange_of_another_type_is_a_configuration_error(rabbitmq: Settings) -> None:
    """What stands in the way is named, nothing is published."""
    with connect(rabbitmq) as connection:
        kombu.Exchange("logs", type="topic")(connection.channel()).declare()

    with Publisher(rabbitmq) as publisher, pytest.raises(ConfigurationError, match=r"BROKER_URL.*logs"):
        publisher.publish(make_batch())


@pytest.mark.parametrize(
    ("change", "advice"),
    [("//guest:wrong@", "password"), ("/no-such-host", "virtual host"), ("//name.invalid:", "name")],
)
def test_what_waiting_cannot_mend_is_said_at_once(
    broker: str, tmp_path: Path, change: str, advice: str
) -> None:
    """A wrong password, virtual host or host name is an error that says so."""
    parts = urlsplit(broker)
    if "@" in change:
        parts = parts._replace(netloc=f"guest:wrong@{parts.hostname}:{parts.port}")
    elif "invalid" in change:
        parts = parts._replace(netloc=f"{parts.username}:{parts.password}@name.invalid:{parts.port}")
    else:
        parts = parts._replace(path=change)
    url = SecretStr(urlunsplit(parts))
    settings = Settings.from_environment(state_dir=tmp_path, broker_url=url, allow_plaintext=True)

    with Publisher(settings) as publisher, pytest.raises(ConfigurationError, match=advice) as refused:
        publisher.publish(make_batch())
    assert "wrong" not in str(refused.value).replace("is wrong", "")


def test_refusal_after_a_success_is_waited_for(rabbitmq: Settings) -> None:
    """Whoever changed a broker that worked may change it back: the watcher goes on."""
    with Publisher(rabbitmq) as publisher:
        publisher.publish(make_batch(0))
        publisher.close()
        with connect(rabbitmq) as connection, connection.channel() as channel:
            channel.exchange_delete(topology.LOGS.name)
            kombu.Exchange("logs", type="topic")(channel).declare()
        with pytest.raises(BrokerUnavailable, match="logs"):
            publisher.publish(make_batch(1))


def test_unroutable_batch_is_not_confirmed(rabbitmq: Settings) -> None:
    """With both bindings gone the publish fails; the next one declares them again and goes through."""
    with Publisher(rabbitmq) as publisher:
        publisher.publish(make_batch(0))
        with connect(rabbitmq) as connection, connection.channel() as channel:
            for stage in Stage:
                channel.queue_unbind(stage.queue_name, topology.LOGS.name, topology.ROUTING_KEY)
        with pytest.raises(BrokerUnavailable):
            publisher.publish(make_batch(1))
        publisher.publish(make_batch(1))

    wait_until(lambda: depths(rabbitmq) == (2, 2), "both batches in both queues")


def test_refused_message_is_not_confirmed(rabbitmq: Settings) -> None:
    """A negative confirm is an error, so that the checkpoint stays where it is."""
    with connect(rabbitmq) as connection, connection.channel() as channel:
        topology.LOGS(channel).declare()
        full = {**topology.live_arguments(LAKE), "x-max-length": 1}
        channel.queue_declare(LAKE, durable=True, auto_delete=False, arguments=full)
        channel.queue_bind(LAKE, topology.LOGS.name, topology.ROUTING_KEY)
        with connect(rabbitmq, confirms=False) as own:
            publisher = Publisher(rabbitmq)

            def refused() -> bool:
                publisher._connection, here = (
                    own,
                    own.channel(),
                )  # a new one would declare the queue otherwise
                publisher._producer, publisher._confirms = kombu.Producer(here), Confirms(here)
                try:
                    publisher.publish(make_batch())
                except BrokerUnavailable as error:
                    return "refused" in str(error)
                return False

            assert not refused()
            wait_until(refused, "the full queue to refuse")


def test_batch_outlives_a_killed_broker(rabbit: PrivateRabbit, tmp_path: Path) -> None:
    """What was confirmed is in both queues after the broker was killed and started again."""
    settings = Settings.from_environment(state_dir=tmp_path, broker_url=SecretStr(rabbit.url))
    with Publisher(settings) as publisher:
        publisher.publish(make_batch(0))
        rabbit.kill()
        with pytest.raises(BrokerUnavailable):
            publisher.publish(make_batch(1))
        rabbit.start()
        wait_until(lambda: _published(publisher, make_batch(1)), "the broker to take the batch")

    wait_until(lambda: min(depths(settings)) >= 2, "both batches in both queues")


def test_what_was_confirmed_of_several_outlives_a_killed_broker(
    rabbit: PrivateRabbit, tmp_path: Path
) -> None:
    """A broker that is killed between the confirms of a run has kept each batch that it confirmed."""
    settings = Settings.from_environment(state_dir=tmp_path, broker_url=SecretStr(rabbit.url))
    batches = [make_batch(number) for number in range(64)]
    with Publisher(settings) as publisher:
        run = publisher.publish_all(batches)
        confirmed = [next(run)]
        rabbit.kill()
        with suppress(BrokerUnavailable):
            confirmed += run
        rabbit.start()
        wait_until(lambda: _published(publisher, make_batch(0)), "the broker to take a batch again")

    wait_until(
        lambda: min(depths(settings)) > len(confirmed), "the confirmed ones and that one in both queues"
    )


def _published(publisher: Publisher, batch: Batch) -> bool:
    try:
        publisher.publish(batch)
    except BrokerUnavailable:
        return False
    return True


def test_declared_queues_keep_what_they_cannot_deliver(rabbitmq: Settings) -> None:
    """A rejected message of a live queue is in that queue's dead letters, and in no other's."""
    with Publisher(rabbitmq) as publisher:
        publisher.publish(make_batch())
    with connect(rabbitmq) as connection, connection.channel() as channel:
        wait_until(lambda: depths(rabbitmq) == (1, 1), "the message")
        kombu.Queue(CLEAN, no_declare=True)(channel).get(accept=["msgpack"]).reject()
        wait_until(lambda: queue_depths(rabbitmq)[CLEAN].dead == 1, "the dead letter")

    assert queue_depths(rabbitmq)[LAKE] == (1, 0)
    assert get(rabbitmq, dead_name(CLEAN)) is not None
