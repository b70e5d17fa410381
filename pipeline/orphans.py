"""Files that went away with bytes unread: the archives that may hold those bytes."""

from collections.abc import Iterator

from pipeline.archive import is_archive
from pipeline.checkpoint import Generation
from pipeline.identity import related
from pipeline.watch import Finder, Sighting

#: Seconds during which new archives are looked at: compressing a large log takes its time.
SEEK_SECONDS = 120.0


class Orphans:
    """Sources without a file, and where their rest may turn up."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._until: dict[str, tuple[Generation, float]] = {}
        self._known: set[tuple[tuple[int, int], int, int]] = set()

    def add(self, generation: Generation, now: float) -> None:
        """Look for archives of a source from now on, for a while."""
        self._until[generation.key] = (generation, now + SEEK_SECONDS)
        self._known.clear()

    def seek(self, now: float) -> Iterator[Sighting]:
        """Return compressed files, not returned before, whose names fit a source without a file."""
        for key, (generation, until) in list(self._until.items()):
            if not generation.ended or now > until:
                del self._until[key]
                continue
            for sighting in self._finder.around(generation.path):
                seen = (sighting.identity, sighting.size, sighting.mtime_ns)
                if seen not in self._known and _fits(sighting, generation):
                    self._known.add(seen)
                    yield sighting


def _fits(sighting: Sighting, generation: Generation) -> bool:
    return is_archive(sighting.path) and related(sighting.path, generation.path)
