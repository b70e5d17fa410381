"""`kill -9` of everything in random order under load: the short form; the long one is in tests/soak."""

import pytest

from tests.faults import killer
from tests.faults.invariant import Unfinished, settle
from tests.faults.killer import Killer
from tests.faults.system import System
from tests.faults.writer import Writer
from tests.services import PrivatePostgres, PrivateRabbit

pytestmark = pytest.mark.faults


def test_kills_in_random_order(
    system: System,
    writer: Writer,
    rabbit: PrivateRabbit,
    postgres: PrivatePostgres,
    unfinished: Unfinished,
) -> None:
    """Fifteen kills of watcher, pools, their children, broker and database lose and double nothing."""
    seed = killer.seed()
    print(f"FAULTS_SEED={seed}")
    victims = killer.order(killer.SHORT, seed)
    with writer.writing(rate=300, most=20_000):
        for _ in Killer(system, rabbit, postgres).kill_all(victims, (1, 2), seed):
            assert not system.ended()

    settle(system, writer, unfinished)
