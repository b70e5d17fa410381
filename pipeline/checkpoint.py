"""The checkpoint: each source with its confirmed offset, durable, and what `status` shows of it."""

import fcntl
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline import journal
from pipeline.errors import CheckpointError, ConfigurationError, PipelineError
from pipeline.folders import make_private
from pipeline.generation import Generation

logger = logging.getLogger(__name__)

#: Name of the checkpoint in the state folder.
FILE_NAME = "checkpoint"
#: Longest time, in seconds, between a confirm and the fsync of its offset; what is lost is read again.
SYNC_SECONDS = 1.0
#: A source that ended completely is remembered this long, in seconds, to recognise late copies of it.
MEMORY_SECONDS = 14 * 86400.0
#: A journal smaller than this, in bytes, is never compacted.
COMPACT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What `status` shows of one source; `lag_seconds` is the age of the oldest unread byte."""

    key: str
    path: str
    size: int
    offset: int
    lag_bytes: int
    lag_seconds: float
    lost_bytes: int
    state: str


def read_generations(state_dir: Path) -> dict[str, Generation]:
    """Return every source of a state folder by key, whether or not a watcher runs there.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    return _load(journal.read(state_dir / FILE_NAME))[0]


def read_status(state_dir: Path) -> list[SourceStatus]:
    """Return the status of every source in a state folder, whether or not a watcher runs there.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    now = time.time()
    return [_status(generation, now) for generation in read_generations(state_dir).values()]


def read_offsets(state_dir: Path) -> dict[str, int]:
    """Return the confirmed offset of every source in a state folder, by key.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    return {key: generation.offset for key, generation in read_generations(state_dir).items()}


def _status(generation: Generation, now: float) -> SourceStatus:
    since = generation.unread_since
    waiting = since is not None and generation.lag_bytes > 0
    return SourceStatus(
        key=generation.key,
        path=generation.path,
        size=generation.size,
        offset=generation.offset,
        lag_bytes=generation.lag_bytes,
        lag_seconds=max(0.0, now - since) if waiting and since is not None else 0.0,
        lost_bytes=generation.lost_bytes,
        state=generation.state.value,
    )


def _load(records: Iterable[journal.Record]) -> tuple[dict[str, Generation], dict[str, int]]:
    generations: dict[str, Generation] = {}
    ordinals: dict[str, int] = {}
    for record in records:
        if "line" in record:
            ordinals[record["line"]] = max(record["next"], ordinals.get(record["line"], 0))
        else:
            generation = _generation(record)
            generations[generation.key] = generation
            _count(ordinals, generation)
    return generations, ordinals


def _generation(record: journal.Record) -> Generation:
    try:
        return Generation.from_map(record)
    except (KeyError, TypeError, ValueError) as error:
        # Whole, by its checksum: so it was written by a version with other fields.
        raise CheckpointError(f"a record of the checkpoint is not one of this version: {error!r}") from error


def _line(inode: int, head: str) -> str:
    return f"{inode}:{head}"


def _count(ordinals: dict[str, int], generation: Generation) -> None:
    # By the line that it began with: a source that moved to a copy keeps the ordinal of its first inode.
    line = _line(generation.first_inode, generation.head)
    ordinals[line] = max(generation.ordinal + 1, ordinals.get(line, 0))


class CheckpointStore:
    """The checkpoint of one state folder; a context manager that holds the folder's lock.

    Raises:
        ConfigurationError: another watcher holds the folder, or it cannot be written.
        CheckpointError: the checkpoint was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _lock(path)
        self._journal = journal.Journal(path)
        try:
            self.generations, self._ordinals = _load(journal.read(path))
            self._forget_old(time.time())
            self._compact()
        except OSError as error:
            self.close()
            raise ConfigurationError(f"SLUICE_STATE_DIR: {path}: {error.strerror}") from error
        except PipelineError:
            self.close()
            raise
        self._changed: dict[str, Generation] = {}
        self._synced_at = float("-inf")
        self._full = False
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sync()
        self.close()

    def next_ordinal(self, inode: int, head: str) -> int:
        """Return the ordinal of a new generation of an inode with this first line."""
        return self._ordinals.get(_line(inode, head), 0)

    def save(self, generation: Generation) -> None:
        """Write a generation now; a full disk is noticed, and written again later."""
        self.note(generation)
        self._write([generation])

    def note(self, generation: Generation) -> None:
        """Write a generation with the next `tick`."""
        self.generations[generation.key] = generation
        _count(self._ordinals, generation)
        self._changed[generation.key] = generation

    def begin(self, generation: Generation) -> None:
        """Write a new generation; `sync_new` makes it survive a power cut before its first batch leaves."""
        self.save(generation)
        self._begun = True

    def sync_new(self) -> None:
        """Sync what `begin` wrote.

        Without it, a power cut could give the key of a lost generation to the next one with its first line.
        """
        if self._begun:
            self._begun = False
            self.sync()

    def tick(self, now: float) -> None:
        """Write and sync what changed, at most once per second of the monotonic clock `now`."""
        if now - self._synced_at >= SYNC_SECONDS:
            self._synced_at = now
            self.sync()

    def sync(self) -> None:
        """Make everything saved or noted survive a power cut; a full disk is reported, not raised."""
        self._write(list(self._changed.values()))
        try:
            self._journal.sync()
            if self._journal.size > max(COMPACT_BYTES, 4 * self._compact_size):
                self._compact()
        except OSError as error:
            self._report(error)

    def close(self) -> None:
        """Let the folder go."""
        self._journal.close()
        os.close(self._lock)

    def _write(self, generations: list[Generation]) -> None:
        if not generations:
            return
        try:
            self._journal.append(generation.to_map() for generation in generations)
        except OSError as error:
            self._report(error)
            return
        self._full = False
        for generation in generations:
            self._changed.pop(generation.key, None)

    def _report(self, error: OSError) -> None:
        if not self._full:
            logger.warning(
                "checkpoint %s cannot be saved (%s): lines are still published; what is confirmed now is "
                "read again after a restart. Free space in SLUICE_STATE_DIR.",
                self._journal.path,
                error,
            )
        self._full = True

    def _forget_old(self, now: float) -> None:
        """Forget sources that ended long ago, but never which ordinals were given."""
        for key, generation in list(self.generations.items()):
            if generation.ended and now - generation.seen_at > MEMORY_SECONDS:
                del self.generations[key]

    def _compact(self) -> None:
        ordinals = ({"line": line, "next": n} for line, n in self._ordinals.items())
        self._journal.rewrite([*ordinals, *(g.to_map() for g in self.generations.values())])
        self._compact_size = self._journal.size


def _lock(path: Path) -> int:
    name = path.with_name("watcher.lock")
    try:
        make_private(path.parent)
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"SLUICE_STATE_DIR: {name} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise ConfigurationError(
            f"SLUICE_STATE_DIR: another watcher uses {path.parent}; stop it, or set another folder"
        ) from None
    return file
