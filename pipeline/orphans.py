"""Sources whose file went away: the copies and archives in which their rest may turn up."""

from collections.abc import Iterator

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

    def seek(self, now: float) -> Iterator[Sighting]:
        """Return files, not returned before, whose names fit a source without a file."""
        for key, (generation, until) in list(self._until.items()):
            if not generation.ended or now > until:
                del self._until[key]
                continue
            for sighting in self._finder.around(generation.path):
                seen = (sighting.identity, sighting.size, sighting.mtime_ns)
                if seen not in self._known and related(sighting.path, generation.path):
                    self._known.add(seen)
                    yield sighting
