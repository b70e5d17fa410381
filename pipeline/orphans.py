"""Sources whose file went away: the copies and archives in which their rest may turn up."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from pipeline.generation import Generation
from pipeline.identity import related
from pipeline.watch import Finder, Sighting

#: Seconds during which new files are looked at: compressing a large log takes its time.
SEEK_SECONDS = 120.0


class Orphans:
    """Sources without a file, and where their rest may turn up."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._until: dict[str, tuple[Generation, float]] = {}
        self._known: set[tuple[tuple[int, int], int, int]] = set()

    def add(self, generation: Generation, now: float) -> None:
        """Look for the rest of a source from now on, for a while."""
        self._until[generation.key] = (generation, now + SEEK_SECONDS)
        self._known.clear()

    def remember(self, generations: Iterable[Generation], now: float) -> None:
        """Go on looking, after a restart, for what went away unread or not long before it."""
        recently = time.time() - SEEK_SECONDS
        for generation in generations:
            if generation.ended and (generation.unread_at_end or generation.seen_at > recently):
                self.add(generation, now)

    def seek(self, now: float) -> Iterator[Sighting]:
        """Return files, not returned before, whose names fit a source without a file."""
        by_folder: defaultdict[str, list[Generation]] = defaultdict(list)
        for key, (generation, until) in list(self._until.items()):
            if not generation.ended or now > until:
                del self._until[key]
            else:
                by_folder[os.path.dirname(generation.path)].append(generation)  # noqa: PTH120 - str in, str out
        for generations in by_folder.values():
            yield from self._around(generations)

    def _around(self, generations: list[Generation]) -> Iterator[Sighting]:
        for sighting in self._finder.around(generations[0].path):
            seen = (sighting.identity, sighting.size, sighting.mtime_ns)
            if seen in self._known:
                continue
            self._known.add(seen)
            if any(related(sighting.path, generation.path) for generation in generations):
                yield sighting
