"""Dead letters on both transports."""

from typing import Any

import kombu
import pytest

from pipeline import dead, topology
from pipeline.batch import Batch, Source
from pipeline.depths import queue_depths
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.services import wait_until

QUEUE = Stage.CLEAN.queue_name
SOURCE = Source(key="ab" * 16, host="web-1", path="/var/log/access.log")


def make_batch(number: int) -> Batch:
    """Return a batch of one line."""
    return Batch(SOURCE, number * 5, b"line\n")


def publish(settings: Settings, body: Any, **headers: Any) -> None:
    """Publish a message to the queue of these tests alone."""
    with connect(settings) as connection:
        topology.declare(connection)
        kombu.Producer(connection.channel()).publish(
            body, exchange="", routing_key=QUEUE, serializer="msgpack", headers=headers, correlation_id="c"
        )


def bury(settings: Settings, count: int = 1, before: int = 0) -> None:
    """Reject the oldest messages of the queue, and wait until they are dead letters beside those before."""
    wait_until(lambda: queue_depths(settings)[QUEUE].dead == before, "the dead letters from before")
    wait_until(lambda: queue_depths(settings)[QUEUE].messages >= count, "the messages")
    with connect(settings) as connection, connection.channel() as channel:
        for _ in range(count):
            kombu.Queue(QUEUE, no_declare=True)(channel).get(accept=["msgpack"]).reject()
    wait_until(lambda: queue_depths(settings)[QUEUE].dead == before + count, "the dead letters")


@pytest.fixture
def buried(transport: Settings) -> Settings:
    """Settings of a broker with three dead letters of one queue: two batches, and what is none."""
    with Publisher(transport) as publisher:
        publisher.publish(make_batch(0), Stage.CLEAN)
    failure = {"reason": "ValueError at line 17", "traceback": "Traceback …"}
    body = ((make_batch(1).encode(),), {}, {})
    publish(transport, body, task="clean.transform", id="t", sluice_failure=failure, sluice_attempts=4)
    publish(transport, {"no": "batch"}, task="clean.transform", id="u")
    bury(transport, 3)
    return transport


def test_browse_shows_and_leaves_them(buried: Settings) -> None:
    """A look shows reason, traceback and batch, and a second look shows the same."""
    first, second = dead.browse(buried, QUEUE), dead.browse(buried, QUEUE)

    assert first == second
    assert [letter.batch for letter in first] == [make_batch(0), make_batch(1), None]
    assert [letter.reason for letter in first[:2]] == [
        "rejected by the broker: rejected",
        "ValueError at line 17",
    ]
    assert first[1].traceback == "Traceback …"


def test_browse_does_not_use_up_a_dead_letter(buried: Settings) -> None:
    """More looks than RabbitMQ's default delivery limit leave every dead letter there."""
    for _ in range(25):
        dead.browse(buried, QUEUE)

    assert len(dead.browse(buried, QUEUE)) == 3


def test_signature_is_the_same_for_one_cause(buried: Settings) -> None:
    """Numbers and names differ between dead letters of one cause."""
    letter = dead.browse(buried, QUEUE)[1]

    assert letter.signature == "ValueError at line …"


def test_replay_gives_the_chosen_back_to_their_queue(buried: Settings) -> None:
    """A replayed message is a fresh one that knows how often it was tried; the others stay."""
    count = dead.replay(buried, QUEUE, lambda letter: letter.id == "t")
    wait_until(lambda: queue_depths(buried)[QUEUE].messages == 1, "the message")
    with connect(buried) as connection, connection.channel() as channel:
        message = kombu.Queue(QUEUE, no_declare=True)(channel).get(accept=["msgpack"])

        assert Batch.decode(message.decode()[0][0]) == make_batch(1)
        assert message.headers[dead.REPLAYS_HEADER] == 1
        assert not {dead.FAILURE_HEADER, dead.ATTEMPTS_HEADER, "x-death"} & message.headers.keys()
        assert message.properties["correlation_id"] == "c"
        message.ack()

    assert count == 1
    assert [letter.id for letter in dead.browse(buried, QUEUE)] == [make_batch(0).id, "u"]
    assert queue_depths(buried)[Stage.LAKE.queue_name].messages == 0


def test_replays_are_counted(buried: Settings) -> None:
    """A message that dies again shows how often it was published again."""
    for _ in range(2):
        dead.replay(buried, QUEUE, lambda letter: letter.id == "t")
        bury(buried, before=2)

    assert [letter.replays for letter in dead.browse(buried, QUEUE) if letter.id == "t"] == [2]


def test_purge_removes_the_chosen_alone(buried: Settings) -> None:
    """A purge takes what was chosen and counts it."""
    assert dead.purge(buried, QUEUE, lambda letter: letter.batch is None) == 1

    wait_until(lambda: queue_depths(buried)[QUEUE].dead == 2, "two dead letters to be left")
