"""The kombu transport of the embedded mode: each queue is a folder, each message a file.

kombu's own filesystem transport writes a message in place and forgets it on delivery. This one makes both
steps a rename, so that a reader never sees half a message and a killed worker's messages come back:

    queues/<queue>/<time>-<id>.<deliveries>      waiting
    held/<pid>-<id>/<queue>/<same name>          delivered, not yet acknowledged, while the holder lives

A message whose holder died returns to its queue; after `DELIVERY_LIMIT` returns it is dead-lettered, and so
is a rejected one, as RabbitMQ does for the queues of topology.py.
"""

import fcntl
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual
from kombu.utils.json import dumps, loads

from pipeline.folders import make_private
from pipeline.topology import DELIVERY_LIMIT, dead_name

#: Seconds between two looks for messages whose holder died.
RECLAIM_SECONDS = 1.0
#: Seconds between two looks at an empty queue, the most that this transport adds to a line's latency.
POLLING_SECONDS = 0.02


class Channel(filesystem.Channel):
    """A channel whose messages survive their readers."""

    # Waiting messages are files already: what a channel holds is put back by `_restore`.
    do_restore = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._listings: dict[str, list[str]] = {}
        self._held: dict[str, Path] = {}
        self._reclaimed_at = 0.0

    @property
    def root(self) -> Path:
        """Folder of the broker."""
        return Path(self.transport_options["root"])

    @property
    def control_folder(self) -> Path:
        """Folder of the binding tables, one file an exchange."""
        return self.root / "bindings"

    def _folder(self, queue: str) -> Path:
        return self.root / "queues" / queue

    def _new_queue(self, queue: str, **_: Any) -> None:
        make_private(self._folder(queue))
        make_private(self.control_folder)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return self._folder(queue).is_dir()

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        folder = self._folder(queue)
        aside = folder / f".{name}"
        aside.write_text(dumps(payload))
        aside.rename(folder / f"{name}.0")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002 - kombu's signature
        held = _take(self._names(queue), self._folder(queue), _holder(self.root) / queue)
        if held is None:
            self._reclaim()
            raise Empty
        payload: dict[str, Any] = loads(held.read_text())
        self._held[payload["properties"]["delivery_tag"]] = held
        return payload

    def _names(self, queue: str) -> list[str]:
        # Oldest last, to pop; listed anew only when used up, because a listing costs more than a message.
        if not self._listings.get(queue):
            self._listings[queue] = sorted(_waiting(self._folder(queue)), reverse=True)
        return self._listings[queue]

    def _size(self, queue: str) -> int:
        return len(_waiting(self._folder(queue)))

    def _purge(self, queue: str) -> int:
        names = _waiting(self._folder(queue))
        for name in names:
            (self._folder(queue) / name).unlink(missing_ok=True)
        return len(names)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Forget the message for good."""
        super().basic_ack(delivery_tag, multiple)
        held = self._held.pop(delivery_tag, None)
        if held is not None:
            held.unlink(missing_ok=True)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give the message back to its queue, or to the queue's dead letters."""
        held = self._held.get(delivery_tag)
        if held is not None and not requeue:
            self._bury(held, "rejected")
            del self._held[delivery_tag]
        super().basic_reject(delivery_tag, requeue)

    def _restore(self, message: Any) -> None:
        held = self._held.pop(message.delivery_tag, None)
        if held is not None:
            held.rename(self._folder(held.parent.name) / held.name)

    def _bury(self, held: Path, reason: str) -> None:
        queue = held.parent.name
        payload = loads(held.read_text())
        payload["headers"] |= {"x-first-death-queue": queue, "x-first-death-reason": reason}
        dead = dead_name(queue)
        if self._has_queue(dead):
            self._put(dead, payload)
        held.unlink()

    def _reclaim(self) -> None:
        if time.monotonic() - self._reclaimed_at < RECLAIM_SECONDS:
            return
        self._reclaimed_at = time.monotonic()
        for orphan in _orphans(self.root):
            self._give_back(orphan)

    def _give_back(self, orphan: Path) -> None:
        name, _, deliveries = orphan.name.rpartition(".")
        if int(deliveries) >= DELIVERY_LIMIT:
            self._bury(orphan, "delivery_limit")
        else:
            orphan.rename(self._folder(orphan.parent.name) / f"{name}.{int(deliveries) + 1}")


class Transport(filesystem.Transport):
    """The transport behind the scheme `embedded://`."""

    Channel = Channel
    # A worker with an event loop gives each child a pipe of its own; without one they share a pipe and its
    # lock, and a child that is killed while it holds the lock stops all others.
    implements = filesystem.Transport.implements.extend(asynchronous=True)
    driver_type = "embedded"
    driver_name = "embedded"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        # One memory a connection: kombu's is shared by all, and takes a binding elsewhere for ours.
        self.state = virtual.BrokerState()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:  # noqa: ARG002 - kombu's signature
        """Look for messages as long as the loop runs."""
        loop.call_repeatedly(POLLING_SECONDS, self._deliver_waiting)

    def _deliver_waiting(self) -> None:
        with suppress(Empty):
            while True:
                self.cycle.get(self._deliver)


TRANSPORT_ALIASES["embedded"] = f"{__name__}:Transport"


def transport_options(root: Path) -> dict[str, Any]:
    """Return the transport options of a broker in this folder."""
    return {"root": str(root), "polling_interval": POLLING_SECONDS}


def _waiting(folder: Path) -> list[str]:
    """Return the names of whole messages; one that is being written starts with a dot."""
    try:
        return [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


def _take(names: list[str], waiting: Path, mine: Path) -> Path | None:
    make_private(mine)
    while names:
        name = names.pop()
        try:
            (waiting / name).rename(mine / name)
        except FileNotFoundError:
            continue  # another consumer was faster
        return mine / name
    return None


_holders: dict[tuple[int, Path], Path] = {}


def _holder(root: Path) -> Path:
    """Return this process's folder of unacknowledged messages, locked for as long as the process lives.

    A POSIX record lock is not inherited by a fork, so a pool child that outlives its parent holds nothing.
    """
    key = (os.getpid(), root)
    if key not in _holders:
        folder = root / "held" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        make_private(folder)
        # Open until the process ends: closing any descriptor of the file would free the lock.
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(lock, fcntl.LOCK_EX)
        _holders[key] = folder
    return _holders[key]


def _orphans(root: Path) -> list[Path]:
    """Return the messages of holders that died, and clear away holders without any."""
    orphans: list[Path] = []
    for folder in (root / "held").iterdir() if (root / "held").is_dir() else ():
        if folder != _holder(root) and _is_abandoned(folder):
            messages = list(folder.glob("*/*"))
            orphans += messages
            if not messages:
                _remove(folder)
    return orphans


def _is_abandoned(folder: Path) -> bool:
    # A folder without its lock file is one being made, or one being removed.
    try:
        with (folder / ".lock").open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, FileNotFoundError):
        return False
    return True


def _remove(folder: Path) -> None:
    try:
        for queue in folder.iterdir():
            if queue.is_dir():
                queue.rmdir()
        (folder / ".lock").unlink()
        folder.rmdir()
    except OSError:
        return  # another process is clearing it too
