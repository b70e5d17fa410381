"""The configuration that the deployment gives RabbitMQ, on a real node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import PrivateRabbit

pytestmark = pytest.mark.slow

LIMITS = Path(__file__).parents[2] / "deploy/rabbitmq/20-limits.conf"


class LimitedRabbit(PrivateRabbit):
    """A node with the deployment's limits; what it holds of the disk is not this machine's to promise."""

    def _configure(self) -> None:
        super()._configure()
        with (self.folder / "rabbitmq.conf").open("a") as conf:
            conf.write(LIMITS.read_text().replace("disk_free_limit.absolute = 2GB", ""))


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateRabbit]:
    """Return a node that runs with the limits."""
    with LimitedRabbit() as node:
        yield node


@pytest.mark.parametrize(
    ("application", "key", "value"),
    [
        ("ra", "wal_max_size_bytes", "67108864"),
        ("rabbit", "max_message_size", "33554432"),
        ("rabbit", "vm_memory_high_watermark", "0.6"),
    ],
)
def test_a_node_takes_the_limits(node: PrivateRabbit, application: str, key: str, value: str) -> None:
    """Each limit of the file is in force on a node that was started with it."""
    assert node.ctl("eval", f"application:get_env({application}, {key}).").strip() == f"{{ok,{value}}}"
