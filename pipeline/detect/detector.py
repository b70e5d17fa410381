"""All detections for one source: lines in, sightings out, state as JSON."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.detect.bursts import Bursts
from pipeline.detect.changes import Changes
from pipeline.detect.crowd import gathered
from pipeline.detect.firsts import Firsts
from pipeline.detect.intrusions import intrusions
from pipeline.detect.observed import Lines
from pipeline.detect.patterns import Patterns
from pipeline.detect.pauses import Pauses
from pipeline.detect.rules import Rules
from pipeline.detect.sighting import Sighting


class Detector:
    """The detections of one source, with what they know of it.

    Args:
        rules: which are on, and how they are set.
        patterns: of these rules; shared by the sources, since it remembers texts.
        stored: what `as_json` returned.
    """

    def __init__(self, rules: Rules, patterns: Patterns, stored: dict[str, Any] | None = None) -> None:
        stored = stored or {}
        self._patterns = patterns
        self._bursts = Bursts(rules, stored.get("bursts"))
        self._changes = Changes(rules, stored.get("changes"))
        self._firsts = Firsts(rules, stored.get("firsts"))
        self._pauses = Pauses(rules, stored.get("pauses"))

    def as_json(self) -> dict[str, Any]:
        """Return what is known of the source as JSON takes it."""
        return {
            "bursts": self._bursts.as_json(),
            "changes": self._changes.as_json(),
            "firsts": self._firsts.as_json(),
            "pauses": self._pauses.as_json(),
        }

    def feed(self, lines: Lines) -> Iterator[Sighting]:
        """Look at further lines of the source; yield what a rule tells of them."""
        yield from gathered(intrusions(lines, self._patterns))
        yield from gathered(self._bursts.sightings(lines))
        yield from self._changes.sightings(lines)
        yield from gathered(self._firsts.sightings(lines))
        self._pauses.learn(lines)

    def silent_after(self, now: datetime) -> datetime | None:
        """Return from when on the silence of the source is told, None where it means nothing."""
        return self._pauses.silent_after(now)
