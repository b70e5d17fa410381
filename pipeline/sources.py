"""The files that are followed: found by the sweep, hinted by events, each with its source."""

from collections.abc import Iterable, Mapping
from itertools import islice

from pipeline.archive import Archive, is_archive
from pipeline.batch import Batch, Source
from pipeline.checkpoint import CheckpointStore
from pipeline.fingerprint import Content
from pipeline.followed import Followed
from pipeline.generation import Generation, State
from pipeline.identity import HOLD_SECONDS, Identity, Verdict
from pipeline.opened import OpenFiles
from pipeline.orphans import Orphans
from pipeline.rules import Rules
from pipeline.tail import Replaced, Tail
from pipeline.watch import Finder, Sighting

#: Seconds without growth after which a renamed or deleted file has ended: its writer had time to notice.
ENDED_SECONDS = 5.0


class Sources:
    """Every followed file, by device and inode."""

    def __init__(self, finder: Finder, store: CheckpointStore, rules: Rules) -> None:
        self._followed = Followed()
        self._finder = finder
        self._store = store
        self._rules = rules
        self._now = 0.0
        self._swept = False
        self._files = OpenFiles(finder, rules.open_count)
        hold = 0.0 if rules.once else HOLD_SECONDS
        self._identity = Identity(store, rules.host, self._owner, hold_seconds=hold)
        self._orphans = Orphans(finder)
        for generation in store.generations.values():
            if not generation.ended:
                self._followed.add(Tail.resumed(generation, rules.limits))

    def sweep(self, now: float) -> None:
        """Look at every file; afterwards every tail knows its size, and where it can its source."""
        self._now = now
        wanted = [sighting for sighting in self._finder.sweep() if self._takes(sighting)]
        seen = {sighting.identity for sighting in wanted}
        # Files that are known come first: whether they still hold their bytes decides what the others are.
        for sighting in sorted(wanted, key=lambda s: s.identity not in self._followed.tails):
            self._see(sighting)
        for tail in [tail for tail in self._followed.tails.values() if tail.identity not in seen]:
            self._look_for(tail)
        self._resolve()
        if not self._swept:
            self._swept = True
            self._orphans.remember(self._store.generations.values(), now)
        for sighting in self._orphans.seek(now):
            if sighting.identity not in self._followed.tails:
                self._followed.add(Tail.of(sighting, self._rules.limits, now)).known_only = True
        self._resolve()
        for tail in self._followed.tails.values():
            if self._has_ended(tail):
                self._followed.wake(tail)
        self._retire()
        if self._rules.once:
            self._followed.order(newest_first=self._rules.newest_first)

    @property
    def tails(self) -> Mapping[tuple[int, int], Tail]:
        """Every followed file, by device and inode."""
        return self._followed.tails

    @property
    def resting(self) -> bool:
        """True when nothing that was seen is unread."""
        return not self._followed.ready

    def turn(self) -> list[Tail]:
        """Return the tails to read from now: all that are ready, or with `once` the next one alone."""
        return list(islice(self._followed.ready.values(), 1 if self._rules.once else None))

    def hint(self, paths: Iterable[str], now: float) -> None:
        """Look at paths that are said to have changed."""
        self._now = now
        for path in paths:
            if path in self._followed or self._finder.takes(path):
                sighting = self._finder.look(path)
                if sighting is not None and self._takes(sighting):
                    self._see(sighting)
        self._resolve()

    def next_batches(self, tail: Tail, now: float, most: int) -> list[Batch]:
        """Return the next batches of a tail, at most so many; with none it is not ready any more."""
        self._now = now
        content = self._files.content(tail)
        batches: list[Batch] = []
        if content is not None and tail.generation is not None:
            flush = self._rules.once or tail.archive or self._has_ended(tail)
            source = self._source(tail.generation, tail)
            try:
                batches = tail.next_batches(content, source, most, flush=flush)
            except Replaced:
                self._truncated(tail)
        if not batches:
            self._leave(tail, content)
        return batches

    def settle(self, tail: Tail) -> None:
        """Take a tail whose batch was confirmed out of the ready ones if nothing is left to read."""
        if not tail.unread:
            self._followed.rest(tail)

    def note_states(self, *, blocked: bool) -> None:
        """Write what changed of each source for `status`."""
        for tail in self._followed.tails.values():
            state = State.BLOCKED if blocked and tail.unread else None
            if tail.generation is not None and tail.verified and tail.describe(state):
                self._store.note(tail.generation)

    def close(self) -> None:
        """Close every file."""
        self._files.close()

    def _retire(self) -> None:
        """Let deleted files go once they are read, and their last line with them."""
        for tail in self._files.deleted():
            if not tail.unread and self._has_ended(tail):
                if tail.generation is not None:
                    tail.describe()
                    self._identity.end(tail.generation, State.DELETED)
                self._drop(tail)

    def _takes(self, sighting: Sighting) -> bool:
        # A compressed file that appears beside a live one was read as that one: see orphans.py.
        return self._rules.once or not is_archive(sighting.path) or sighting.identity in self._followed.tails

    def _see(self, sighting: Sighting) -> None:
        tail = self._followed.tails.get(sighting.identity)
        if tail is None:
            tail = self._followed.add(Tail.of(sighting, self._rules.limits, self._now))
        self._follow_name(tail, sighting.path)
        if (tail.size, tail.mtime_ns) != (sighting.size, sighting.mtime_ns):
            self._check_replaced(tail, sighting)
            tail.see(sighting, self._now)
        if not tail.resolved:
            self._followed.unresolved[tail.identity] = tail
        elif not tail.dry:
            self._followed.wake(tail)

    def _follow_name(self, tail: Tail, path: str) -> None:
        if path == tail.path:
            return
        old = self._finder.look(tail.path)
        if old is not None and old.identity == tail.identity:
            return  # a hard link: one file, one source
        tail.rotated = True
        self._followed.rename(tail, path)

    def _check_replaced(self, tail: Tail, sighting: Sighting) -> None:
        """Notice that a file which changed no longer holds what was read from it, or what was seen."""
        if tail.archive:
            self._files.release(tail)
            tail.verified = False
            return
        if tail.generation is not None and not tail.verified:
            return  # it will be compared as a whole
        pinned = tail.content is not None
        content = self._files.content(tail)
        if sighting.size < tail.offset or (content is not None and not tail.intact(content)):
            self._truncated(tail)
            if not pinned:
                self._doubt(tail)
        elif sighting.size < tail.size:
            self._shortened(tail, tail.size - sighting.size)

    def _truncated(self, tail: Tail) -> None:
        if tail.generation is not None:
            tail.describe()
            self._identity.end(tail.generation, State.TRUNCATED)
            self._orphans.add(tail.generation, self._now)
        elif tail.head:
            self._identity.bury(tail)
        self._restart(tail)

    def _shortened(self, tail: Tail, lost_bytes: int) -> None:
        """Count bytes that were cut off behind the offset."""
        if tail.generation is not None:
            tail.generation.lost_bytes += lost_bytes
            self._store.note(tail.generation)
        tail.forget_search()

    def _look_for(self, tail: Tail) -> None:
        """Look for a file that the sweep did not find under a name that it takes."""
        if tail.content is not None:
            status = tail.content.stat()
            tail.deleted = status.st_nlink == 0
            tail.rotated = tail.rotated or tail.deleted
            place = tail.path if tail.deleted else tail.content.place() or tail.path
            self._see(Sighting.of(place, status))
            return
        sighting = self._finder.look(tail.path)
        if sighting is None or sighting.identity != tail.identity:
            # Of a file without a source nothing is known but the inode, which may be another one's by now.
            known = tail.generation is not None
            sighting = self._finder.locate(tail.device, tail.inode, tail.path) if known else None
        self._see(sighting) if sighting else self._gone(tail)

    def _gone(self, tail: Tail) -> None:
        generation = tail.generation
        if generation is not None:
            if tail.verified:
                tail.describe()
            if not tail.verified or generation.lag_bytes:
                self._orphans.add(generation, self._now)
            self._identity.end(generation, State.GONE)
        elif tail.head:
            tail.deleted = True
            self._identity.bury(tail)
        self._drop(tail)

    def _drop(self, tail: Tail) -> None:
        self._files.release(tail)
        self._followed.drop(tail)

    def _resolve(self) -> None:
        """Find out which source each new file is, as far as that is known yet."""
        # Known files first, then the shortest name: an original is recognised before its copies.
        for tail in list(self._followed.unresolved.values()):
            if self._verify(tail):
                del self._followed.unresolved[tail.identity]
        for tail in sorted(self._followed.unresolved.values(), key=lambda tail: len(tail.path)):
            if self._try_resolve(tail):
                self._followed.unresolved.pop(tail.identity, None)

    def _verify(self, tail: Tail) -> bool:
        content = self._files.content(tail) if tail.size or tail.generation else None
        if content is None:
            return False
        known = tail.generation
        if self._identity.verify(tail, content, self._now):
            self._followed.wake(tail)
            return True
        if known is not None:
            self._orphans.add(known, self._now)
            self._restart(tail)
            self._doubt(tail)
        return False

    def _try_resolve(self, tail: Tail) -> bool:
        if not tail.size:
            return True  # an empty file is looked at again when it changes
        content = self._files.content(tail)
        if content is None or tail.generation is not None:
            return False
        if not tail.intact(content):
            self._truncated(tail)
        ended = self._rules.once or tail.archive or self._has_ended(tail)
        verdict = self._identity.resolve(tail, content, self._now, ended=ended)
        if verdict is Verdict.FOREIGN or (tail.known_only and verdict is Verdict.WAIT):
            self._drop(tail)
            return True
        tail.covered = verdict is Verdict.COVERED
        self._followed.wake(tail)
        return verdict is not Verdict.WAIT

    def _doubt(self, tail: Tail) -> None:
        # While it was not held open the inode may have been given to a file that nobody asked for.
        tail.known_only = not self._finder.takes(tail.path)

    def _restart(self, tail: Tail) -> None:
        """Begin anew with a file that is not what it was."""
        tail.restart()
        self._followed.rest(tail)
        self._followed.unresolved[tail.identity] = tail

    def _owner(self, generation: Generation) -> tuple[Tail, Content] | None:
        """Return the tail of a generation, looked at afresh; None if no file holds it any more."""
        tail = self._followed.tails.get((generation.device, generation.inode))
        if tail is None or tail.generation is not generation or not tail.verified:
            return None
        content = self._files.content(tail)
        if content is None:
            return None
        self._see(Sighting.of(tail.path, content.stat()))
        return (tail, content) if tail.generation is generation else None

    def _leave(self, tail: Tail, content: Content | None) -> None:
        """Take a tail that has nothing to give out of the ready ones."""
        tail.dry = content is not None  # what cannot be opened now is tried at the next look
        self._followed.rest(tail)
        if isinstance(content, Archive):
            tail.exhausted = True
            if content.damage:
                tail.state = State.DAMAGED
                self._finder.refuse(tail.path, content.damage)

    def _has_ended(self, tail: Tail) -> bool:
        return tail.rotated and self._now - tail.changed_at >= ENDED_SECONDS

    def _source(self, generation: Generation, tail: Tail) -> Source:
        host, kind = self._rules.host, self._rules.format.of(tail.path)
        return Source(generation.key, host, tail.path, *tail.identity, generation.ordinal, kind)
