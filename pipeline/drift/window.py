"""A window: what some consecutive lines of a source are like, in counts and a sample of values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: Lines after which a window is judged: with fewer a share is all noise, with more a change is seen late.
WINDOW_LINES = 500
#: Values of one kind that a window keeps.
MOST_VALUES = 100


@dataclass(slots=True)
class Window:
    """Consecutive lines of one source.

    Attributes:
        start, end: bytes of the source that they lie in, [start, end).
        moment: time of its records, UTC, of the middle one where there are many; None where no line is one.
        lines: how many.
        size: bytes of these lines.
        hits, among: for each measure, how many lines have it, and of how many that can.
        values: for each kind a sample of values, each with the byte at which its line starts.
    """

    start: int
    end: int
    moment: datetime | None
    lines: int
    size: int
    hits: dict[str, int] = field(default_factory=dict)
    among: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """True when it has lines enough to be judged."""
        return self.lines >= WINDOW_LINES

    def add(self, later: "Window") -> None:
        """Take in the lines that follow."""
        self.end = later.end
        self.moment = self.moment or later.moment
        self.lines += later.lines
        self.size += later.size
        for mine, others in ((self.hits, later.hits), (self.among, later.among)):
            for name, count in others.items():
                mine[name] = mine.get(name, 0) + count
        for kind, values in later.values.items():
            own = self.values.setdefault(kind, [])
            own += values[: MOST_VALUES - len(own)]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"moment": self.moment and self.moment.isoformat()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Window":
        """Return the window that `as_json` wrote."""
        moment = fields["moment"]
        values = {kind: [(text, place) for text, place in found] for kind, found in fields["values"].items()}
        return cls(
            **{**fields, "moment": datetime.fromisoformat(moment) if moment else None, "values": values}
        )
