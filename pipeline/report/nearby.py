"""The parts of page and report that broker and checkpoint answer."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import islice

from pipeline import dead
from pipeline.checkpoint import read_offsets, read_status
from pipeline.depths import Depth, queue_depths
from pipeline.errors import PipelineError
from pipeline.report.figures import Ask, Rows, Selection
from pipeline.settings import Settings

#: Dead letters of a queue that are looked at: each look takes their bodies over the network.
MOST_DEAD = 200


def parts(settings: Settings) -> dict[str, Ask]:
    """Return what answers each part of figures.py that is not the database's."""
    return {
        "queues": partial(_queues, settings),
        "watched": partial(_watched, settings),
        "dead": DeadLetters(settings).look,
    }


def offsets(settings: Settings) -> Mapping[str, int]:
    """Return the confirmed offset of every source by key; none where no watcher runs on this machine."""
    try:
        return read_offsets(settings.state_dir)
    except PipelineError:
        return {}


def _queues(settings: Settings, _: Selection) -> Rows:
    depths = queue_depths(settings)
    return Rows(("queue", "messages", "dead"), [(name, *depth) for name, depth in depths.items()])


def _watched(settings: Settings, _: Selection) -> Rows:
    columns = ("key", "path", "size", "offset", "lag_bytes", "lag_seconds", "lost_bytes", "state")
    found = read_status(settings.state_dir)
    return Rows(columns, [tuple(getattr(row, name) for name in columns) for row in found])


class DeadLetters:
    """The dead letters by signature; looked at again only where a queue's depth has changed.

    Each look is a delivery that is given back: page after page would be millions of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._depths: dict[str, Depth] = {}
        self._groups: dict[str, list[tuple[object, ...]]] = {}

    def look(self, _: Selection) -> Rows:
        """Return the groups of every queue.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        for queue, depth in queue_depths(self._settings).items():
            known = self._depths.get(queue)
            if depth.dead == 0:
                self._groups[queue] = []
            elif known is None or known.dead != depth.dead:
                self._groups[queue] = self._grouped(queue)
            self._depths[queue] = depth
        columns = ("queue", "signature", "count", "reason", "path", "start", "end")
        return Rows(columns, [group for groups in self._groups.values() for group in groups])

    def _grouped(self, queue: str) -> list[tuple[object, ...]]:
        counts: Counter[str] = Counter()
        first: dict[str, dead.DeadLetter] = {}
        for letter in islice(dead.scan(self._settings, queue), MOST_DEAD):
            counts[letter.signature] += 1
            first.setdefault(letter.signature, letter)
        return [
            (queue, signature, count, first[signature].reason, *_place(first[signature]))
            for signature, count in counts.most_common()
        ]


def _place(letter: dead.DeadLetter) -> tuple[object, ...]:
    batch = letter.batch
    return (None, None, None) if batch is None else (batch.source.path, batch.start, batch.end)
