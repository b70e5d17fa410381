"""The transport without a server: what RabbitMQ would promise, kept with files."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Producer

from pipeline import embedded, topology
from pipeline.topology import DELIVERY_LIMIT, Stage, dead_name
from tests.services import wait_until

LAKE, CLEAN = (stage.queue_name for stage in Stage)
TAKE_AND_HANG = """
import sys, time
from pathlib import Path
from kombu import Connection
from pipeline import embedded
with Connection("embedded://", transport_options=embedded.transport_options(Path(sys.argv[1]))) as connection:
    message = connection.channel().basic_get(sys.argv[2])
    print("taken" if message else "empty", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """Connection to a broker in a folder, with the topology declared."""
    with Connection("embedded://", transport_options=embedded.transport_options(tmp_path)) as connection:
        topology.declare(connection)
        yield connection


@pytest.fixture
def channel(connection: Connection) -> Any:
    """Channel on the broker in a folder."""
    return connection.channel()


def publish(channel: Any, text: str = "a batch") -> None:
    """Publish a message to both queues."""
    Producer(channel).publish(text, exchange=topology.LOGS.name, routing_key=topology.ROUTING_KEY)


def size(channel: Any, name: str) -> int:
    """Return how many messages wait."""
    return int(channel.queue_declare(queue=name, passive=True).message_count)


def test_one_publish_reaches_both_queues(channel: Any) -> None:
    """The direct exchange gives each bound queue its copy."""
    publish(channel)

    assert (size(channel, LAKE), size(channel, CLEAN)) == (1, 1)


def test_acknowledged_message_is_gone(channel: Any) -> None:
    """After the acknowledgement nothing of the message is left in its queue or held."""
    publish(channel)
    channel.basic_get(LAKE).ack()

    assert channel.basic_get(LAKE) is None
    assert size(channel, CLEAN) == 1


def test_requeued_message_returns_to_its_own_queue_alone(channel: Any) -> None:
    """A message given back does not travel through the exchange again."""
    publish(channel)
    channel.basic_get(LAKE).requeue()

    assert (size(channel, LAKE), size(channel, CLEAN)) == (1, 1)
    assert channel.basic_get(LAKE).payload == "a batch"


def test_rejected_message_is_a_dead_letter_with_its_reason(channel: Any) -> None:
    """A rejection moves the message, and says from where."""
    publish(channel)
    channel.basic_get(LAKE).reject()
    dead = channel.basic_get(dead_name(LAKE))

    assert (
        dead.headers["x-first-death-reason"],
        dead.headers["x-first-death-queue"],
    ) == ("rejected", LAKE)
    assert dead.payload == "a batch"
    assert size(channel, LAKE) == 0


def test_messages_come_in_the_order_of_their_publishing(channel: Any) -> None:
    """A queue is first in, first out."""
    for number in range(20):
        publish(channel, str(number))

    assert [str(n) for n in range(20)] == [channel.basic_get(LAKE).payload for _ in range(20)]


def test_half_written_message_is_not_delivered(channel: Any, tmp_path: Path) -> None:
    """A file that its writer has not renamed yet is no message."""
    (tmp_path / "queues" / LAKE / ".00000-writing").write_text('{"body": "hal')

    assert channel.basic_get(LAKE) is None
    assert size(channel, LAKE) == 0


def test_closed_channel_gives_back_what_it_held(connection: Connection) -> None:
    """What a channel did not acknowledge is in its queue again after the close."""
    channel = connection.channel()
    publish(channel)
    channel.basic_consume(LAKE, no_ack=False, callback=lambda _: None, consumer_tag="c")
    held = channel.basic_get(LAKE)
    channel.qos.append(held, held.delivery_tag)
    channel.close()

    assert size(connection.channel(), LAKE) == 1


def hang_with_a_message(root: Path) -> subprocess.Popen[str]:
    """Start a consumer that takes a message and never acknowledges it."""
    child = subprocess.Popen(
        [sys.executable, "-c", TAKE_AND_HANG, str(root), LAKE], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "taken\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    """Kill a consumer without warning."""
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_message_of_a_living_consumer_is_not_delivered_twice(
    channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message in a consumer's hands stays there while that consumer lives."""
    monkeypatch.setattr(embedded, "RECLAIM_SECONDS", 0.0)
    publish(channel)
    child = hang_with_a_message(tmp_path)

    assert channel.basic_get(LAKE) is None
    kill(child)


def test_message_of_a_killed_consumer_comes_back(
    channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer killed before its acknowledgement gives the message back."""
    monkeypatch.setattr(embedded, "RECLAIM_SECONDS", 0.0)
    publish(channel)
    kill(hang_with_a_message(tmp_path))

    message = wait_until(lambda: channel.basic_get(LAKE), "the message to come back")

    assert message.payload == "a batch"


def test_message_that_kills_its_consumers_ends_as_a_dead_letter(
    channel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the delivery limit the message stops circling."""
    monkeypatch.setattr(embedded, "RECLAIM_SECONDS", 0.0)
    publish(channel)
    waiting = tmp_path / "queues" / LAKE
    (first,) = waiting.iterdir()
    first.rename(waiting / f"{first.stem}.{DELIVERY_LIMIT}")
    kill(hang_with_a_message(tmp_path))

    assert channel.basic_get(LAKE) is None
    dead = wait_until(lambda: channel.basic_get(dead_name(LAKE)), "the dead letter")
    assert dead.headers["x-first-death-reason"] == "delivery_limit"


def test_two_consumers_share_a_queue_without_a_double(connection: Connection) -> None:
    """Each message is delivered to one consumer."""
    first, second = connection.channel(), connection.channel()
    for number in range(10):
        publish(first, str(number))
    taken = [channel.basic_get(LAKE) for _ in range(6) for channel in (first, second)]

    assert sorted(str(n) for n in range(10)) == sorted(m.payload for m in taken if m)


def test_purge_empties_one_queue(channel: Any) -> None:
    """A purge counts what it removes and leaves the other queue alone."""
    publish(channel)
    publish(channel)

    assert channel.queue_purge(LAKE) == 2
    assert (size(channel, LAKE), size(channel, CLEAN)) == (0, 2)
