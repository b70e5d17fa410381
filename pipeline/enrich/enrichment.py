"""The enrichment of one process: the enrichers that are set, read again when their files change."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.enrich.enricher import Enricher, enrich_record, enriched
from pipeline.enrich.watched import Mark, marks
from pipeline.errors import ConfigurationError
from pipeline.formats.line import LogFormat

log = logging.getLogger(__name__)

#: Seconds between two looks at the files.
LOOK_SECONDS = 5.0


class Enrichment:
    """The enrichers of a process; nothing is read before their first use.

    Args:
        parts: of `pipeline.settings.ENRICHMENTS`.
        databases: files in MaxMind's format, for the part address.
        lookups: a folder of files COLUMN.csv, or None.
        look_seconds: between two looks at the files.
    """

    def __init__(
        self,
        parts: Collection[str] = (),
        databases: Sequence[Path] = (),
        lookups: Path | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._parts = parts
        self._databases = databases if "address" in parts else ()
        self._lookups = lookups
        self._look_seconds = look_seconds
        self._enrichers: list[Enricher] | None = None
        self._marks: dict[Path, Mark | None] = {}
        self._looked_at = 0.0
        self._generation = 0

    def generation(self) -> int:
        """Return a number that rises when a file has changed: what was made with an older one is forgotten.

        A change that cannot be read is logged, and what was read before stays in use.

        Raises:
            ConfigurationError: a file cannot be read, and none was read before.
        """
        now = time.monotonic()
        if self._enrichers is None or now >= self._looked_at + self._look_seconds:
            self._looked_at = now
            self._look()
        return self._generation

    def format(self, format_: LogFormat) -> LogFormat:
        """Return the format with the columns of the enrichers.

        Raises:
            ConfigurationError: a file cannot be read, or two enrichers fill one column.
        """
        self.generation()
        return enriched(format_, self._enrichers or ())

    def record(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record, by column, with what the enrichers add.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        self.generation()
        return enrich_record(values, self._enrichers or ())

    def _look(self) -> None:
        try:
            files = self._lookup_files()
            found = marks([*self._databases, *files])
            if self._enrichers is not None and found == self._marks:
                return
            self._marks = found
            self._enrichers = self._read(files)
            self._generation += 1
        except ConfigurationError as error:
            if self._enrichers is None:
                raise
            log.warning("%s; what was read before stays in use", error)

    def _lookup_files(self) -> list[Path]:
        if self._lookups is None:
            return []
        # Imported where they are used: what enriches nothing need not load their libraries.
        from pipeline.enrich.lookups import lookup_files  # noqa: PLC0415

        return lookup_files(self._lookups)

    def _read(self, lookups: Sequence[Path]) -> list[Enricher]:
        from pipeline.enrich.address import address_enricher  # noqa: PLC0415
        from pipeline.enrich.agent import agent_enricher  # noqa: PLC0415
        from pipeline.enrich.lookups import lookup_enricher  # noqa: PLC0415
        from pipeline.enrich.mmdb import Database  # noqa: PLC0415

        found = []
        if "address" in self._parts:
            found.append(address_enricher([Database(path) for path in self._databases]))
        if "agent" in self._parts:
            found.append(agent_enricher())
        return [*found, *map(lookup_enricher, lookups)]


#: Adds nothing.
NOTHING = Enrichment()
