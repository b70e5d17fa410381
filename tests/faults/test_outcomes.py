"""What became of each delivery: counted by a pool whose child is killed, told with the batch in its log."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import kombu
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline import dead, protocol, topology
from pipeline.batch import Batch, Source
from pipeline.publish import Publisher, connect
from tests.faults.databases import new_database, new_virtual_host
from tests.faults.system import LAKE, Place, Role, System
from tests.faults.writer import line
from tests.services import PrivatePostgres, PrivateRabbit, free_port, wait_until

pytestmark = pytest.mark.faults

QUEUE = topology.Stage.LAKE.queue_name


def batch(number: int) -> Batch:
    """Return a batch of one line, the first of its source."""
    return Batch(
        Source(f"{number:032x}", "web-1", "/var/log/access.log", format="combined"), 0, line("o", number)
    )


@pytest.fixture
def port() -> int:
    """Return a port for the metrics."""
    return free_port()


@pytest.fixture
def pool(
    rabbit: PrivateRabbit,
    postgres: PrivatePostgres,
    new_place: Callable[[str, str], Place],
    port: int,
    tmp_path: Path,
) -> Iterator[System]:
    """Return a system of a lake pool alone, whose child is killed in the middle of its first batch."""
    variables = {
        "SLUICE_METRICS_ADDRESS": str(port),
        "SLUICE_LOG_STYLE": "json",
        "SLUICE_FAILPOINT": f"lake.ingest.started:1:kill:{tmp_path / 'killed'}",
    }
    with System(new_place(new_virtual_host(rabbit), new_database(postgres))) as system:
        system.start(LAKE, Role(variables))
        yield system


def outcomes(port: int) -> dict[str, float]:
    """Return how many deliveries ended in which way."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [
        each for family in families for each in family.samples if each.name == "sluice_deliveries_total"
    ]
    return {each.labels["outcome"]: each.value for each in samples if each.value}


def publish_spoilt(system: System, spoilt: Batch) -> None:
    """Publish a batch whose bytes are not those of its checksum, and a message that nobody can decode."""
    with connect(system.settings) as connection, connection.channel() as channel:
        producer = kombu.Producer(channel)
        headers = protocol.headers(topology.BATCH_TASK, spoilt.id, argsrepr=repr(spoilt))
        body = protocol.body(spoilt.encode() | {"checksum": b"x" * 32})
        producer.publish(body, exchange="", routing_key=QUEUE, serializer="msgpack", headers=headers)
        producer.publish(b"\x80\x04N.", exchange="", routing_key=QUEUE, content_type="application/x-pickle")


def test_every_end_of_a_delivery_is_counted(pool: System, port: int) -> None:
    """A killed child, a stored batch, a retry, a dead letter and an undecodable message: one count each."""
    with Publisher(pool.settings) as publisher:
        publisher.publish(batch(1))
    wait_until(lambda: "succeeded in" in pool.log(LAKE), "the batch after its child was killed", 90)
    spoilt = batch(2)
    publish_spoilt(pool, spoilt)
    expected = {"lost": 1, "stored": 1, "retried": 1, "rejected": 1, "undecodable": 1}
    wait_until(lambda: outcomes(port) == expected, f"{expected}")

    told = [json.loads(each) for each in pool.log(LAKE).splitlines()]
    (killed,) = [each for each in told if "WorkerLostError" in each["message"]]
    assert (killed["batch_id"], killed["stage"]) == (batch(1).id, "lake")
    (buried,) = [each for each in told if "goes to the dead letters: EnvelopeError" in each["message"]]
    assert (buried["batch_id"], buried["task"], buried["stage"]) == (spoilt.id, "lake.ingest", "lake")
    assert len(dead.browse(pool.settings, QUEUE)) == 2
