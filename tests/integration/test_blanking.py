"""Dead letters without a subject's lines, on both transports."""

from typing import Any

import kombu
import pytest
from pydantic import SecretStr

from pipeline import dead, topology
from pipeline.batch import Batch, Source
from pipeline.blanking import Blanked, blank
from pipeline.depths import queue_depths
from pipeline.errors import DatabaseUnavailable
from pipeline.publish import connect
from pipeline.settings import Settings
from pipeline.subject import Kind, subject
from pipeline.topology import Stage
from tests.services import wait_until

QUEUE = Stage.CLEAN.queue_name
SOURCE = Source(key="ab" * 16, host="web-1", path="/var/log/access.log")
WHO = subject(Kind.USER, "jane.doe")
BLOCK = b"first\nof jane.doe\xff\nof jane.doer\njane.doe again\n"
BLANK = b"first\n************\nof jane.doer\n**************\n"


def publish(settings: Settings, body: Any, **headers: Any) -> None:
    """Publish a message to the dead letters of the queue alone."""
    with connect(settings) as connection:
        topology.declare(connection)
        kombu.Producer(connection.channel()).publish(
            body, exchange="", routing_key=topology.dead_name(QUEUE), serializer="msgpack", headers=headers,
            correlation_id="c",
        )  # fmt: skip


def envelope(batch: Batch, settings: Settings) -> Any:
    """Return the body of a batch, signed where there is a key."""
    from pipeline import protocol, signing  # noqa: PLC0415

    return protocol.body(signing.signed(batch.encode(), settings.signing_keys))


@pytest.fixture
def signed(transport: Settings) -> Settings:
    """Settings of each transport, with a key that signs batches."""
    return transport.model_copy(update={"signing_key": SecretStr("s" * 32)})


def buried(settings: Settings, count: int) -> list[dead.DeadLetter]:
    """Return the dead letters once they are so many."""
    wait_until(lambda: queue_depths(settings)[QUEUE].dead == count, "the dead letters")
    return dead.browse(settings, QUEUE)


def test_lines_become_stars_and_the_rest_stays(signed: Settings) -> None:
    """The twin has range, headers and signature; only the value's lines and words about them differ."""
    failure = {"reason": "ValueError", "traceback": "at jane.doe", "reader": "r"}
    publish(
        signed, envelope(Batch(SOURCE, 100, BLOCK), signed), id="t", sluice_failure=failure, sluice_replays=2
    )
    publish(
        signed, envelope(Batch(SOURCE, 0, b"of jane.doer\n"), signed), id="u", sluice_failure={"reason": "x"}
    )
    buried(signed, 2)
    forgotten: list[Batch] = []

    done = blank(signed, QUEUE, WHO, forgotten.extend)

    other, own = buried(signed, 2)
    assert (done.messages, done.lines, done.stuck) == (1, 2, [])
    assert (own.id, own.replays, own.reason, own.traceback) == ("t", 2, "***", "***")
    assert own.batch == Batch(SOURCE, 100, BLANK)
    assert (other.id, other.reason, other.batch) == ("u", "x", Batch(SOURCE, 0, b"of jane.doer\n"))
    assert [(line.start, line.block) for line in forgotten] == [
        (106, b"of jane.doe\xff\n"),
        (132, b"jane.doe again\n"),
    ]
    assert blank(signed, QUEUE, WHO, forgotten.extend) == Blanked()


def test_a_twin_can_be_replayed(signed: Settings) -> None:
    """It goes back to its queue as a batch of ours."""
    publish(signed, envelope(Batch(SOURCE, 0, BLOCK), signed), task=topology.BATCH_TASK, id="t")
    buried(signed, 1)
    blank(signed, QUEUE, WHO, lambda _: None)
    buried(signed, 1)

    assert dead.replay(signed, QUEUE, lambda _: True) == 1
    wait_until(lambda: queue_depths(signed)[QUEUE].messages == 1, "the message")
    with connect(signed) as connection, connection.channel() as channel:
        message = kombu.Queue(QUEUE, no_declare=True)(channel).get(accept=["msgpack"])
        assert Batch.decode(message.decode()[0][0]).block == BLANK
        assert message.properties["correlation_id"] == "c"
        message.ack()


def test_nothing_goes_before_its_lines_are_forgotten(transport: Settings) -> None:
    """Where the database is away the dead letter stays as it is."""
    publish(transport, envelope(Batch(SOURCE, 0, BLOCK), transport), id="t")
    buried(transport, 1)

    def away(_: Any) -> None:
        raise DatabaseUnavailable

    with pytest.raises(DatabaseUnavailable):
        blank(transport, QUEUE, WHO, away)

    assert [letter.batch for letter in buried(transport, 1)] == [Batch(SOURCE, 0, BLOCK)]


def test_a_look_changes_nothing(transport: Settings) -> None:
    """A dry run counts the same."""
    publish(transport, envelope(Batch(SOURCE, 0, BLOCK), transport), id="t")
    buried(transport, 1)

    seen = blank(transport, QUEUE, WHO, None)

    assert (seen.messages, seen.lines) == (1, 2)
    assert [letter.batch for letter in buried(transport, 1)] == [Batch(SOURCE, 0, BLOCK)]


def test_what_is_no_batch_of_ours_is_told(signed: Settings) -> None:
    """Foreign messages, batches of another key and broken ones are named where they may hold it."""
    unsigned = Batch(SOURCE, 0, BLOCK).encode()
    broken = {**unsigned, "block": unsigned["block"][:-9] + b"123456789"}
    bodies = {
        "words": {"said": "by jane.doe"},
        "nothing": {"said": "by jane.doer"},
        "unsigned": ((unsigned,), {}, {}),
        "other": ((Batch(SOURCE, 0, b"other\n").encode(),), {}, {}),
        "broken": ((broken,), {}, {}),
    }
    for name, body in bodies.items():
        publish(signed, body, id=name)
    buried(signed, 5)

    done = blank(signed, QUEUE, WHO, lambda _: None)

    held, unread = "holds the value and is no batch of ours", "cannot be read"
    assert {stuck.id: stuck.why for stuck in done.stuck} == {
        "words": held,
        "unsigned": held,
        "broken": unread,
    }
    assert (done.messages, len(buried(signed, 5))) == (0, 5)
