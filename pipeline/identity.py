"""Which source a file is: the one it was, one that moved here, a copy of one, or a new one."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from pathlib import PurePath

from pipeline.checkpoint import CheckpointStore
from pipeline.fingerprint import ANCHOR_BYTES, PREFIX_BYTES, Content, digest, first_line, source_key
from pipeline.generation import Generation, State
from pipeline.tail import Tail
from pipeline.watch import shown

logger = logging.getLogger(__name__)

#: A copy of a file that is still followed waits this long, in seconds, after it last grew: rotation by
#: copy and truncate may be at work, and its lines belong to the source that was copied.
HOLD_SECONDS = 5.0
#: A copy keeps the time of its original up to what a file system may round it, in nanoseconds.
MTIME_SLACK_NS = 2_000_000_000


class Verdict(Enum):
    """What to do with a file now."""

    READY = "it has its generation"
    WAIT = "it is not known yet which source it is"
    COVERED = "everything in it belongs to another source and was read there"
    FOREIGN = "no pattern takes it, and it is not the rest of a source either"


class Identity:
    """Gives each file its generation.

    `owner` returns the tail that follows a generation now, looked at afresh and with its content, or None.
    """

    def __init__(
        self,
        store: CheckpointStore,
        host: str,
        owner: Callable[[Generation], tuple[Tail, Content] | None],
        *,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._store = store
        self._host = host
        self._owner = owner
        self._hold_seconds = hold_seconds
        self._by_head: defaultdict[str, list[Generation]] = defaultdict(list)
        self._by_inode: dict[tuple[int, int], Generation] = {}
        for generation in store.generations.values():
            self._index(generation)

    def verify(self, tail: Tail, content: Content, now: float) -> bool:
        """Tell whether a tail goes on with the generation of its inode; if not, that one has ended."""
        known = tail.generation or self._by_inode.get(tail.identity)
        if known is None or known.state is State.TRUNCATED:
            return False
        if self._is_unchanged(known, content):
            tail.changed_at = now
            shrunk = max(0, known.size - content.size())
            self._take(tail, known, content)
            # Cut off behind the offset while nobody looked.
            known.lost_bytes += shrunk
            known.size -= shrunk
            return True
        self.end(known, State.TRUNCATED)
        return False

    def resolve(self, tail: Tail, content: Content, now: float, *, ended: bool) -> Verdict:
        """Give a tail its generation, or say why it has none; with `ended` nothing more is coming."""
        tail.head = content.read(PREFIX_BYTES, 0)
        line = first_line(tail.head, ended=ended)
        if line is None:
            return Verdict.WAIT
        head = digest(line)
        for candidate in reversed(self._by_head[head]):
            verdict = self._compare(tail, candidate, content, now)
            if verdict is not None:
                return verdict
        if tail.known_only:
            return Verdict.FOREIGN
        self._create(tail, line, head)
        return Verdict.READY

    def end(self, generation: Generation, state: State) -> None:
        """Close a generation whose file went away; count what was seen of it and not read."""
        if generation.ended:
            return
        generation.unread_at_end = max(0, generation.size - generation.offset)
        generation.lost_bytes += generation.unread_at_end
        generation.state = state
        generation.unread_since = None
        generation.seen_at = time.time()
        if generation.unread_at_end:
            logger.warning(
                "%s: %s with %d bytes unread", shown(generation.path), state.value, generation.unread_at_end
            )
        self._store.save(generation)

    def bury(self, tail: Tail) -> None:
        """Keep the loss of a file that went away before its first line was complete."""
        self._create(tail, tail.head, digest(tail.head))
        assert tail.generation is not None
        tail.describe()
        self.end(tail.generation, State.GONE if tail.deleted else State.TRUNCATED)

    def _is_unchanged(self, known: Generation, content: Content) -> bool:
        if known.offset:
            return known.fingerprint.matches(content)
        line = first_line(content.read(PREFIX_BYTES, 0), ended=True)
        return line is not None and digest(line) == known.head

    def _take(self, tail: Tail, generation: Generation, content: Content) -> Verdict:
        """Let a tail go on with a generation; what counted as lost is there again."""
        generation.lost_bytes -= generation.unread_at_end
        generation.unread_at_end = 0
        if generation.state is not State.READING:
            generation.state = State.READING
        tail.head = content.read(PREFIX_BYTES, 0)
        generation.fingerprint.recall(content, generation.offset)
        if self._by_inode.get((generation.device, generation.inode)) is generation:
            # The file it was in until now, if it is still there, begins another one.
            del self._by_inode[generation.device, generation.inode]
        generation.device, generation.inode = tail.identity
        self._by_inode[tail.identity] = generation
        tail.rotated = tail.rotated or generation.rotated
        tail.generation, tail.verified = generation, True
        self._store.note(generation)
        return Verdict.READY

    def _create(self, tail: Tail, line: bytes, head: str) -> None:
        ordinal = self._store.next_ordinal(tail.inode, head)
        key = source_key(self._host, tail.inode, line, ordinal)
        generation = Generation(key, tail.path, *tail.identity, ordinal, head, seen_at=time.time())
        tail.generation, tail.verified = generation, True
        tail.describe()
        self._index(generation)
        self._store.begin(generation)

    def _index(self, generation: Generation) -> None:
        self._by_head[generation.head].append(generation)
        self._by_inode[generation.device, generation.inode] = generation

    def _compare(self, tail: Tail, candidate: Generation, content: Content, now: float) -> Verdict | None:
        """Tell what a file is to a generation with the same first line; None if nothing."""
        owner = None if candidate.ended else self._owner(candidate)
        if owner is not None and owner[0] is not tail and not candidate.ended:
            return self._compare_live(tail, candidate, content, owner, now)
        if not self._may_be_copy(tail, candidate):
            return None
        if self._is_unchanged(candidate, content):
            return self._adopt(tail, candidate, content)
        if candidate.fingerprint.covers(content, content.size()):
            return Verdict.COVERED
        return None

    def _compare_live(
        self, tail: Tail, candidate: Generation, content: Content, owner: tuple[Tail, Content], now: float
    ) -> Verdict | None:
        if not related(tail.path, candidate.path) or not _same_so_far(content, owner[1]):
            # It may have been truncated between the look and the comparison.
            again = self._owner(candidate)
            if again is None or candidate.ended:
                return self._compare(tail, candidate, content, now)
            return None
        if tail.archive:
            return Verdict.COVERED
        if now - tail.changed_at >= self._hold_seconds or len(tail.path) < len(candidate.path):
            return None
        candidate.fingerprint.note_copy(content)
        self._store.note(candidate)
        return Verdict.WAIT

    def _may_be_copy(self, tail: Tail, candidate: Generation) -> bool:
        # A file that was deleted and made again with the same text is a new one: a moved one kept its time,
        # and an archive, or the copy of a truncated file, can be nothing else.
        truncated = candidate.state is State.TRUNCATED and tail.identity != (
            candidate.device,
            candidate.inode,
        )
        kept_time = tail.mtime_ns <= candidate.mtime_ns + MTIME_SLACK_NS
        remounted = tail.inode == candidate.inode and tail.device != candidate.device
        return truncated or kept_time or remounted or tail.archive

    def _adopt(self, tail: Tail, generation: Generation, content: Content) -> Verdict:
        missed = max(0, generation.size - content.size()) if generation.ended else 0
        logger.info("%s continues as %s", shown(generation.path), shown(tail.path))
        generation.path = tail.path
        tail.rotated = True
        self._take(tail, generation, content)
        # Bytes that were seen in the original and that the copy does not have.
        generation.lost_bytes += missed
        generation.missed_from = content.size() if missed else 0
        tail.describe()
        self._store.save(generation)
        return Verdict.READY


def related(path: str, other: str) -> bool:
    """Tell whether two names look like one log and its rotated copy: equal up to the first dot or dash."""
    stems = sorted((PurePath(path).name.split(".")[0], PurePath(other).name.split(".")[0]), key=len)
    return stems[1].startswith(stems[0])


def _same_so_far(content: Content, original: Content) -> bool:
    """Tell whether one is the beginning of the other, by their heads and the last bytes they share."""
    size = min(content.size(), original.size())
    places = ((0, min(PREFIX_BYTES, size)), (max(0, size - ANCHOR_BYTES), min(ANCHOR_BYTES, size)))
    return all(content.read(length, at) == original.read(length, at) for at, length in places)
