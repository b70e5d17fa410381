"""Which values of a sample are new: hosts and agents as they are, paths and messages by their template."""

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drain3.drain import Drain, LogCluster

#: Windows for which a value counts as new: a single one would be over before it could be told from chance.
NEW_WINDOWS = 12
#: Values and templates of a kind that are remembered; those seen longest ago are forgotten.
MOST_KNOWN, MOST_TEMPLATES = 1000, 400
#: Longest text of which a template is made, in characters.
LONGEST = 300
#: Share of its words that a message has in common with a template.
SIMILARITY = 0.5
#: Kinds that are reduced to templates.
TEMPLATES = ("paths", "messages")
_NUMBERS = re.compile(r"[0-9]+")


class Values:
    """The values of one kind that are known."""

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        # Number of the window each was first seen in, by a hash of it; the one seen last stands last.
        self._known = dict(known or {})

    def new(self, values: Iterable[tuple[str, int]], number: int) -> list[tuple[str, int]]:
        """Return those values of the window of this number that were unknown a while ago, and learn them."""
        found = []
        for value, place in values:
            key = f"{zlib.crc32(_NUMBERS.sub('0', value).encode(errors='replace')):x}"
            first = self._known.pop(key, number)
            self._known[key] = first
            if number - first < NEW_WINDOWS:
                found.append((value, place))
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return found

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        return self._known


class Templates:
    """The templates of one kind that are known; Drain3 makes them."""

    def __init__(self, known: Iterable[tuple[str, int]] = ()) -> None:
        self._stored = list(known)
        self._drain: Drain | None = None
        self._first: dict[int, int] = {}

    def new(self, values: Iterable[tuple[str, int]], number: int) -> list[tuple[str, int]]:
        """Return those values of the window of this number whose template was unknown a while ago."""
        drain = self._loaded()
        # A text that comes again in a window is of the template that it was of.
        templates: dict[str, int] = {}
        found = []
        for value, place in values:
            if value not in templates:
                templates[value] = self._add(drain, value, number).cluster_id
            if number - self._first[templates[value]] < NEW_WINDOWS:
                found.append((value, place))
        return found

    def _loaded(self) -> "Drain":
        if self._drain is None:
            # Imported late: most processes have no use for it.
            from drain3.drain import Drain  # noqa: PLC0415

            self._drain = Drain(sim_th=SIMILARITY, max_clusters=MOST_TEMPLATES, extra_delimiters=("/",))
            for template, first in self._stored:
                self._add(self._drain, template, first)
        return self._drain

    def _add(self, drain: "Drain", text: str, number: int) -> "LogCluster":
        cluster, _ = drain.add_log_message(text[:LONGEST])
        self._first.setdefault(cluster.cluster_id, number)
        return cluster

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        if self._drain is None:
            return self._stored
        return [[each.get_template(), self._first[each.cluster_id]] for each in self._drain.clusters]


def known(kind: str, stored: Any = None) -> Values | Templates:
    """Return what is known of a kind, from what `as_json` gave."""
    return Templates(stored or ()) if kind in TEMPLATES else Values(stored)
