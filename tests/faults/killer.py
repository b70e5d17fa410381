"""Kills everything that can be killed, in a random order that a seed repeats."""

import os
import random
import threading
from collections.abc import Iterator, Mapping

from pipeline.cli.children import WATCHER
from tests.faults.system import CLEAN, LAKE, System
from tests.services import PrivatePostgres, PrivateRabbit, wait_until

BROKER, DATABASE = "broker", "database"
CHILD = " child"
#: Seconds that a process may take to be there again before it can be killed once more.
BACK_SECONDS = 60.0
#: How often each is killed; one in fourteen is a broker, which takes seconds to come back.
SHORT = {WATCHER: 4, LAKE: 2, CLEAN: 2, LAKE + CHILD: 2, CLEAN + CHILD: 2, BROKER: 1, DATABASE: 2}


def seed() -> int:
    """Return FAULTS_SEED, or a new seed."""
    return int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 32))


def order(counts: Mapping[str, int], seed_number: int) -> list[str]:
    """Return the victims in the random order of a seed."""
    victims = [name for name, count in counts.items() for _ in range(count)]
    random.Random(seed_number).shuffle(victims)
    return victims


class Killer:
    """Kills by name; the services come back by its hand, as a machine's service manager would do it."""

    def __init__(self, system: System, rabbit: PrivateRabbit, postgres: PrivatePostgres) -> None:
        self._system = system
        self._servers = {BROKER: rabbit, DATABASE: postgres}

    def kill(self, victim: str) -> None:
        """Kill with SIGKILL, and return when a server answers again; children are restarted meanwhile."""
        if server := self._servers.get(victim):
            server.kill()
            server.start()
        else:
            wait_until(lambda: self._strike(victim), f"{victim} to be there", BACK_SECONDS)

    def kill_all(
        self, victims: list[str], pause_seconds: tuple[float, float], seed_number: int
    ) -> Iterator[str]:
        """Kill one after the other, after pauses that the seed draws; yield the name of each as it died."""
        draw = random.Random(seed_number)
        clock = threading.Event()
        for victim in victims:
            clock.wait(draw.uniform(*pause_seconds))
            self.kill(victim)
            yield victim

    def _strike(self, victim: str) -> bool:
        if victim.endswith(CHILD):
            return self._system.kill_pool_child(victim.removesuffix(CHILD))
        return self._system.kill(victim)
