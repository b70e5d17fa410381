"""File system events as hints: they wake the watcher early and name paths, and may all be missing."""

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import (
    DirDeletedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from pipeline.mounts import MOUNT_TABLE, is_remote, kind_of

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

logger = logging.getLogger(__name__)

#: Seconds before a system that had no watch to give is asked again.
RETRY_SECONDS = 10.0
#: The events that can mean unread bytes; others, such as our own reads, never wake the watcher.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirDeletedEvent,
]


class Hints(FileSystemEventHandler):
    """Paths that changed since they were last taken, told by the system; the sweep does not rely on them.

    Folders on file systems that other machines write to are left to the sweep.
    """

    def __init__(self, wake: threading.Event, mount_table: Path = MOUNT_TABLE) -> None:
        self._wake = wake
        self._mount_table = mount_table
        self._paths: set[str] = set()
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._watches: dict[tuple[str, int], ObservedWatch | None] = {}
        self._failed = False
        self._retry_at = 0.0

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Remember the path and wake the watcher; runs in the observer's thread."""
        with self._lock:
            self._paths.update(os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)
        self._wake.set()

    def take(self) -> set[str]:
        """Return the paths that changed since the last call."""
        with self._lock:
            paths, self._paths = self._paths, set()
        return paths

    def follow(self, folders: Iterable[str]) -> bool:
        """Watch exactly these folders; tell whether there is one that was not watched before.

        What changed in such a folder before its watch stood was told to nobody. A system that has no more
        watches to give is reported once.
        """
        # By inode as well: a folder that was deleted and made again needs a new watch.
        wanted = {(folder, inode) for folder in folders if (inode := _inode(folder))}
        if not self._observing():
            return False
        for gone in self._watches.keys() - wanted:
            self._drop(gone)
        if time.monotonic() < self._retry_at:
            return False
        added = [self._add(folder, inode) for folder, inode in wanted - self._watches.keys()]
        return any(added)

    def stop(self) -> None:
        """End the observer's thread."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join()
        self._observer = None

    def _observing(self) -> bool:
        """Tell whether the observer's thread runs, after starting it if it does not."""
        if self._observer is not None and self._observer.is_alive():
            return True
        if time.monotonic() < self._retry_at:
            return False
        self._watches.clear()
        self._observer = None
        try:
            observer = Observer()
        except OSError as error:
            self._report(error)
            return False
        observer.daemon = True
        observer.start()
        self._observer = observer
        return True

    def _add(self, folder: str, inode: int) -> bool:
        assert self._observer is not None
        kind = kind_of(folder, self._mount_table)
        if is_remote(kind):
            self._watches[folder, inode] = None
            logger.info("%r is on %s: its files are found by the sweep alone", folder, kind)
            return False
        try:
            self._watches[folder, inode] = self._observer.schedule(self, folder, event_filter=EVENTS)
        except OSError as error:
            self._report(error)
            return False
        return True

    def _drop(self, gone: tuple[str, int]) -> None:
        assert self._observer is not None
        watch = self._watches.pop(gone)
        try:
            if watch is not None:
                self._observer.unschedule(watch)
        except (KeyError, OSError):
            logger.debug("the watch of a folder that is gone was gone as well")

    def _report(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if not self._failed:
            logger.warning(
                "file system events are not available everywhere (%s): files are found by the sweep alone, "
                "every SLUICE_SWEEP_SECONDS; raise fs.inotify.max_user_watches and max_user_instances",
                error,
            )
        self._failed = True


def _inode(folder: str) -> int:
    try:
        return os.stat(folder).st_ino  # noqa: PTH116 - once per folder and sweep
    except OSError:
        return 0
