"""Every step between read and acknowledge: killed, broken and delayed there, once each, under load."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import kombu
import pytest

from pipeline import dead, failpoint, topology
from pipeline.cli.children import WATCHER
from pipeline.publish import connect
from pipeline.topology import Stage
from tests.faults.invariant import Unfinished, problems, settle, wait_stored
from tests.faults.system import CLEAN, LAKE, Place, Role, System, running
from tests.faults.writer import Writer
from tests.services import wait_until

pytestmark = pytest.mark.faults

#: The task of each stage, as its failpoints name it.
TASKS = {LAKE: "lake.ingest", CLEAN: "clean.transform"}
#: Reached once in the life of a watcher, at its start.
AT_START = ("checkpoint.moved", "checkpoint.renamed")
#: Where a watcher and each pool can be stopped, in the order in which they get there.
PLACES = {
    WATCHER: (
        "watcher.read",
        "watcher.publishing",
        "watcher.confirmed",
        "checkpoint.written",
        "checkpoint.synced",
        *AT_START,
    )
}
for _stage, _task in TASKS.items():
    _inside = (f"{_stage}.{step}" for step in ("claimed", "loaded", "committing"))
    PLACES[_stage] = (f"{_task}.started", *_inside, f"{_task}.committed")
#: The places where a delay lets another delivery, a lock or a confirm pass by.
SLOW = {
    WATCHER: ("watcher.publishing", "watcher.confirmed"),
    **{stage: (f"{stage}.claimed", f"{stage}.committing") for stage in TASKS},
}


@dataclass(frozen=True)
class Trap:
    """What happens to each child at some places, once each; a marker in the folder shows that it did."""

    folder: Path
    action: str
    turn: int = 1
    places: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PLACES)

    def role(self, name: str) -> Role:
        """Return the role of a child with this trap."""
        parts = [
            f"{place}:{1 if place in AT_START else self.turn}:{self.action}:{self.folder / place}"
            for place in self.places[name]
        ]
        return Role({failpoint.VARIABLE: ",".join(parts)})

    def sprung(self) -> bool:
        """Tell whether every place has been reached."""
        wanted = {place for places in self.places.values() for place in places}
        return wanted <= {path.name for path in self.folder.iterdir()}


def go_through(system: System, writer: Writer, trap: Trap) -> None:
    """Start every child anew in the trap, and write until each place has been reached."""
    for name in trap.places:
        system.start(name, trap.role(name))
    writer.write(1000)

    def sprung() -> bool:
        writer.write_for(0.5, rate=200)
        return trap.sprung()

    wait_until(sprung, "every failpoint", 90)


@pytest.mark.parametrize("turn", [1, 3])
def test_killed_at_every_place(
    system: System, writer: Writer, unfinished: Unfinished, tmp_path: Path, turn: int
) -> None:
    """Watcher and pools die at each of their places, at an early batch and at a later one."""
    go_through(system, writer, Trap(tmp_path, "kill", turn))

    settle(system, writer, unfinished)


def test_broken_at_every_place(
    system: System, writer: Writer, unfinished: Unfinished, tmp_path: Path
) -> None:
    """An error that nobody foresaw, once at each place, costs a retry."""
    go_through(system, writer, Trap(tmp_path, "raise"))

    settle(system, writer, unfinished)


def test_delayed(system: System, writer: Writer, unfinished: Unfinished, tmp_path: Path) -> None:
    """A process that stands still in the middle of a batch changes nothing."""
    go_through(system, writer, Trap(tmp_path, "sleep", 2, SLOW))

    settle(system, writer, unfinished)


@pytest.fixture
def embedded(new_place: Callable[[str, str], Place]) -> Iterator[System]:
    """Return a running system with nothing configured."""
    with running(new_place("embedded://localhost//", "")) as system:
        yield system


def test_embedded_killed_at_every_place(embedded: System, tmp_path: Path) -> None:
    """The same without a server: SQLite, and messages in files."""
    writer = embedded.writer()
    go_through(embedded, writer, Trap(tmp_path, "kill"))

    settle(embedded, writer)


def test_killed_while_rejecting(
    system: System, writer: Writer, unfinished: Unfinished, tmp_path: Path
) -> None:
    """A pool that dies as it gives a batch up makes it a dead letter the next time, with its reason."""
    place = f"{TASKS[LAKE]}.rejecting"
    system.start(LAKE, Trap(tmp_path, "kill", 1, {LAKE: (place,)}).role(LAKE))
    writer.write(50)
    publish_spoilt(system)
    wait_until((tmp_path / place).exists, "the failpoint")
    writer.write(50)
    wait_stored(system, writer)
    queue = Stage.LAKE.queue_name
    (letter,) = wait_until(lambda: dead.browse(system.settings, queue), "the dead letter")

    assert letter.reason.startswith("EnvelopeError")
    assert problems(system, writer, dead=1) == []
    dead.purge(system.settings, queue, lambda _: True)
    settle(system, writer, unfinished)


def publish_spoilt(system: System) -> None:
    """Publish to the lake a message that is not a batch."""
    name = "00000000-0000-4000-8000-000000000000"
    headers = {"task": topology.BATCH_TASK, "id": name, "root_id": name, "lang": "py"}
    with connect(system.settings) as connection:
        kombu.Producer(connection.channel()).publish(
            (({"version": 1},), {}, {}),
            exchange="",
            routing_key=Stage.LAKE.queue_name,
            serializer="msgpack",
            headers={**headers, "argsrepr": "<spoilt>", "kwargsrepr": "{}"},
            correlation_id=name,
        )
