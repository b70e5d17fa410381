"""One followed file: what was last seen of it, and its next batch."""

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from pipeline.archive import is_archive
from pipeline.batch import Batch, Source
from pipeline.blocks import Cutter, Limits
from pipeline.errors import PipelineError
from pipeline.fingerprint import Content
from pipeline.generation import Generation, State
from pipeline.watch import Sighting, shown

logger = logging.getLogger(__name__)

#: Most bytes that are read at once, in several batches: all of them are in memory until they are confirmed.
RUN_BYTES = 16 << 20
#: Sizes remembered with their time, to tell how old the oldest unread byte is.
SEEN_SIZES_COUNT = 64


class Replaced(PipelineError):  # noqa: N818 - the vocabulary of the field
    """The file no longer holds the bytes that were read from it."""


@dataclass
class Tail:
    """A file that is followed; its generation is unknown until its first line is complete.

    Attributes:
        verified: the generation was compared with the bytes of the file since this watcher started.
        rotated: the file was renamed or deleted: its last line may stay without a newline.
        deleted: no path leads to it any more.
        covered: a copy of the beginning of another source, of which nothing has to be read.
        exhausted: an archive of which everything was read.
        changed_at: monotonic seconds when it last grew or shrank.
        not_before: monotonic seconds before which a small batch waits for more lines.
        paced_until: monotonic seconds before which no further batch is read, where the file has a rate.
        dry: nothing more comes out of it until it changes or ends.
        known_only: no pattern takes it; it is followed only if it is the rest of a source.
        head: the first bytes, kept until the first batch is confirmed.
    """

    path: str
    device: int
    inode: int
    cutter: Cutter
    limits: Limits
    size: int = 0
    mtime_ns: int = 0
    generation: Generation | None = None
    content: Content | None = None
    verified: bool = False
    rotated: bool = False
    deleted: bool = False
    covered: bool = False
    exhausted: bool = False
    state: State | None = None
    changed_at: float = 0.0
    not_before: float = 0.0
    paced_until: float = 0.0
    dry: bool = False
    known_only: bool = False
    head: bytes = b""
    _seen: deque[tuple[int, float]] = field(default_factory=deque)

    @classmethod
    def of(cls, sighting: Sighting, limits: Limits, now: float) -> Self:
        """Return the tail of a file that was seen for the first time."""
        tail = cls(sighting.path, *sighting.identity, Cutter(limits), limits)
        tail.see(sighting, now)
        return tail

    @classmethod
    def resumed(cls, generation: Generation, limits: Limits) -> Self:
        """Return the tail of a source of the checkpoint, to be compared with its file."""
        tail = cls(generation.path, generation.device, generation.inode, Cutter(limits), limits)
        tail.size, tail.mtime_ns = generation.size, generation.mtime_ns
        tail.generation, tail.rotated = generation, generation.rotated
        if generation.unread_since is not None:
            tail._seen.append((generation.size, generation.unread_since))
        return tail

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @property
    def archive(self) -> bool:
        """True for a compressed file: its size says nothing about the bytes inside."""
        return is_archive(self.path)

    @property
    def offset(self) -> int:
        """Confirmed offset."""
        return self.generation.offset if self.generation else 0

    @property
    def resolved(self) -> bool:
        """True when it is known which source this is."""
        return self.covered or (self.verified and self.generation is not None)

    @property
    def unread(self) -> bool:
        """True when there are bytes to read."""
        if self.covered:
            return False
        return not self.exhausted if self.archive else self.size > self.offset

    def see(self, sighting: Sighting, now: float) -> None:
        """Take in what a look at the file found."""
        if (self.size, self.mtime_ns) == (sighting.size, sighting.mtime_ns):
            return
        self.changed_at = now
        self.covered = self.exhausted = self.dry = False
        self.size, self.mtime_ns = sighting.size, sighting.mtime_ns
        if sighting.size > (self._seen[-1][0] if self._seen else self.offset):
            self._seen.append((sighting.size, time.time()))
        if len(self._seen) > SEEN_SIZES_COUNT:
            # The age stays an upper bound when a later sighting is dropped for an earlier one.
            del self._seen[SEEN_SIZES_COUNT // 2]

    def intact(self, content: Content) -> bool:
        """Tell whether the bytes that were read are still in the file."""
        if self.generation is None or not self.generation.offset:
            return content.read(len(self.head), 0) == self.head
        return self.generation.fingerprint.still_before(content, self.generation.offset)

    def next_batches(self, content: Content, source: Source, most: int, *, flush: bool) -> list[Batch]:
        """Return the next batches, none while there is none; another one only behind a full one.

        Raises:
            Replaced: the file was truncated or written anew since it was last looked at.
        """
        # What an archive holds is unfolded from its beginning again for each look behind the offset.
        most = 1 if self.archive else min(most, max(1, RUN_BYTES // self.limits.byte_size))
        batches: list[Batch] = []
        offset = self.offset
        while not batches or (len(batches) < most and self._is_full(batches[-1])):
            block = self.cutter.next(content, offset, flush=flush)
            # After the read: a truncation between the two shows here.
            if not self.intact(content):
                if batches:
                    break  # what was read before it is good; the next call says the rest
                raise Replaced
            if nul_count := self.cutter.nul_run_at(offset):
                logger.warning(
                    "%s: %d NUL bytes at offset %d where lines should be; they are kept in the lake",
                    shown(self.path),
                    nul_count,
                    offset,
                )
            if not block:
                break
            batches.append(Batch(source, offset, block))
            offset += len(block)
        return batches

    def _is_full(self, batch: Batch) -> bool:
        return len(batch.block) * 2 >= self.limits.byte_size or batch.line_count >= self.limits.line_count

    def confirmed(self, batch: Batch, not_before: float) -> None:
        """Take in that a batch was confirmed; unless it was full, the next waits until `not_before`."""
        while self._seen and self._seen[0][0] <= batch.end:
            self._seen.popleft()
        self.head = b""
        self.not_before = 0.0 if self._is_full(batch) else not_before
        self.size = self.size if self.archive else max(self.size, batch.end)
        self.describe()

    def pace(self, now: float, size: int, bytes_per_second: int) -> None:
        """Wait with the next batch until so many bytes were not faster than a rate; 0 is no rate."""
        if bytes_per_second:
            self.paced_until = max(self.paced_until, now) + size / bytes_per_second

    def restart(self) -> None:
        """Begin again at offset 0 of whatever the file holds now."""
        self.generation, self.verified, self.rotated = None, False, False
        self.head, self.not_before = b"", 0.0
        self.forget_search()
        self.covered = self.exhausted = self.dry = False
        self._seen.clear()

    def forget_search(self) -> None:
        """Look for the end of a line again from the offset on."""
        self.cutter = Cutter(self.limits)

    def describe(self, state: State | None = None) -> bool:
        """Bring the generation up to date for `status`; tell whether anything changed."""
        generation = self.generation
        if generation is None or generation.ended:
            return False
        size = generation.offset if self.archive else max(self.size, generation.offset)
        since = self._seen[0][1] if self._seen else None
        fresh = (self.path, size, self.mtime_ns, self.rotated, state or self._plain_state(), since)
        names = ("path", "size", "mtime_ns", "rotated", "state", "unread_since")
        changed = fresh != tuple(getattr(generation, name) for name in names)
        for name, value in zip(names, fresh, strict=True):
            setattr(generation, name, value)
        if changed:
            generation.seen_at = time.time()
        return changed

    def _plain_state(self) -> State:
        return self.state or (State.READING if self.unread else State.IDLE)
