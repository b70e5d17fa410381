"""The long form of the fault suite: two hundred kills over half a million lines, and a long outage."""

import os

import pytest

from pipeline.cli.children import WATCHER
from tests.faults import killer
from tests.faults.invariant import Unfinished, settle
from tests.faults.killer import BROKER, CHILD, DATABASE, Killer
from tests.faults.system import CLEAN, LAKE, System
from tests.faults.writer import Writer
from tests.services import PrivatePostgres, PrivateRabbit

pytestmark = pytest.mark.soak
#: Rounds, the kills of each, its lines and how many of them are written a second.
ROUNDS = int(os.environ.get("FAULTS_ROUNDS") or 10)
ROUND = {WATCHER: 6, LAKE: 2, CLEAN: 2, LAKE + CHILD: 3, CLEAN + CHILD: 3, BROKER: 2, DATABASE: 2}
ROUND_LINES, LINES_PER_SECOND = 50_000, 1000
#: Seconds between two kills, from and to, by the same seed.
PAUSE_SECONDS = (1, 3)
OUTAGE_SECONDS = 180


@pytest.mark.parametrize("number", range(ROUNDS))
def test_kills_in_random_order(  # noqa: PLR0917 - fixtures
    system: System,
    writer: Writer,
    rabbit: PrivateRabbit,
    postgres: PrivatePostgres,
    unfinished: Unfinished,
    number: int,
) -> None:
    """Twenty kills over fifty thousand lines, each round, lose and double nothing."""
    seed = killer.seed() + number
    print(f"FAULTS_SEED={seed}")
    victims = killer.order(ROUND, seed)
    with writer.writing(LINES_PER_SECOND, most=ROUND_LINES):
        for _ in Killer(system, rabbit, postgres).kill_all(victims, PAUSE_SECONDS, seed):
            assert not system.ended()
    writer.write(ROUND_LINES - writer.count)

    settle(system, writer, unfinished)


def test_database_stopped_for_long(
    system: System, writer: Writer, postgres: PrivatePostgres, unfinished: Unfinished
) -> None:
    """Three minutes without a database make no dead letter."""
    writer.write(500)
    postgres.stop("immediate")
    writer.write_for(OUTAGE_SECONDS, rate=100)
    postgres.start()

    settle(system, writer, unfinished)
