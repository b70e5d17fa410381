"""How long values of a sample are known: hosts, agents, beginnings of paths; messages by their template."""

import re
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from drain3.drain import Drain

#: Windows for which a value counts as new: a single one would be over before it could be told from chance.
NEW_WINDOWS = 12
#: Windows for which it counts as recent: one that spreads slowly is known long before it is frequent.
RECENT_WINDOWS = 400
#: Values and templates of a kind that are remembered; those seen longest ago are forgotten.
MOST_KNOWN, MOST_TEMPLATES = 1000, 400
#: Longest text of which a template is made, in characters.
LONGEST = 300
#: Share of its words that a message has in common with a template.
SIMILARITY = 0.5
#: Names of a path that count: what lies deeper is content, of which there is something new all the time.
PATH_NAMES = 2
#: Distinct first words that Drain3 keeps apart.
FIRST_WORDS = 1000
_NUMBERS = re.compile(r"[0-9]+")


class Aged(NamedTuple):
    """A value, the byte at which its line starts, and how many windows ago it was seen first."""

    value: str
    place: int
    age: int


class Values:
    """The values of one kind that are known; digits make no other one."""

    def __init__(self, known: Iterable[tuple[str, int]] = (), names: int | None = None) -> None:
        self._names = names
        # Number of the window each was first seen in, by a hash of it; the one seen last stands last.
        self._known = dict(known)

    def aged(self, values: Iterable[tuple[str, int]], number: int) -> list[Aged]:
        """Return the values of the window of this number with their ages, and learn them."""
        found = []
        for value, place in values:
            key = self._key(value)
            first = self._known.pop(key, number)
            self._known[key] = first
            found.append(Aged(value, place, number - first))
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return found

    def _key(self, value: str) -> str:
        if self._names is not None:
            value = "/".join(value.split("/")[: self._names + 1])
        return f"{zlib.crc32(_NUMBERS.sub('0', value).encode(errors='replace')):x}"

    def as_json(self) -> Any:
        """Return what is known as JSON takes it: as pairs, for `jsonb` keeps no order."""
        return list(self._known.items())


class Templates:
    """The templates of one kind that are known; Drain3 makes them."""

    def __init__(self, known: Iterable[tuple[str, int]] = ()) -> None:
        self._stored = list(known)
        self._drain: Drain | None = None
        # Window in which each template was first seen, by its number; the one seen last stands last.
        self._first: dict[int, int] = {}

    def aged(self, values: Iterable[tuple[str, int]], number: int) -> list[Aged]:
        """Return the values of the window of this number with the ages of their templates; learn those."""
        drain = self._loaded()
        # A text that comes again in a window is of the template that it was of.
        templates: dict[str, int] = {}
        found = []
        for value, place in values:
            if value not in templates:
                cluster, _ = drain.add_log_message(value[:LONGEST])
                templates[value] = cluster.cluster_id
                self._first[cluster.cluster_id] = self._first.pop(cluster.cluster_id, number)
            found.append(Aged(value, place, number - self._first[templates[value]]))
        return found

    def template(self, value: str) -> str:
        """Return the template of a value that was among those given last."""
        cluster = self._loaded().match(value[:LONGEST], full_search_strategy="fallback")
        return value[:LONGEST] if cluster is None else str(cluster.get_template())

    def _loaded(self) -> "Drain":
        if self._drain is None:
            # Imported late: most processes have no use for it.
            from drain3.drain import Drain, LogCluster  # noqa: PLC0415

            drain = Drain(sim_th=SIMILARITY, max_clusters=MOST_TEMPLATES, max_children=FIRST_WORDS)
            for template, first in self._stored:
                # Not as messages: one that is like another would be lost in it.
                drain.clusters_counter += 1
                cluster = LogCluster(template.split(), drain.clusters_counter)
                drain.id_to_cluster[cluster.cluster_id] = cluster
                drain.add_seq_to_prefix_tree(drain.root_node, cluster)
                self._first[cluster.cluster_id] = first
            self._drain = drain
        return self._drain

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        if self._drain is None:
            return self._stored
        clusters = {each.cluster_id: each for each in self._drain.clusters}
        return [
            [clusters[id_].get_template(), first] for id_, first in self._first.items() if id_ in clusters
        ]


def known(kind: str, stored: Any = None) -> Values | Templates:
    """Return what is known of a kind, from what `as_json` gave."""
    if kind == "messages":
        return Templates(stored or ())
    return Values(stored or (), PATH_NAMES if kind == "paths" else None)
