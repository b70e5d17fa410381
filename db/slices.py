"""A replay in slices: each a bounded time of work that says where the next one goes on."""

import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Engine

from db.cleaned import Choice, first_source
from db.replay import LINES_OF_SLICE, Replayer, Tally
from db.store import CleanStore

#: A source's id and a byte offset in it.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Order:
    """A replay that is done slice by slice, as it travels from one slice to the next.

    Attributes:
        choice: what it is about.
        sources: ids of the sources; none are all.
        place: where the next slice begins.
        until: no slice begins later; None is without end.
    """

    choice: Choice
    sources: tuple[int, ...] = ()
    place: Place = (0, 0)
    until: datetime | None = None

    def __str__(self) -> str:
        """Return what Flower shows."""
        what = "what an older version read" if self.choice.risen else "as ordered"
        return f"{what}, from source {self.place[0]} at byte {self.place[1]} on"

    def encode(self) -> dict[str, Any]:
        """Return plain values."""
        values = asdict(self)
        values["choice"]["since"] = _text(self.choice.since)
        return values | {"until": _text(self.until)}

    @classmethod
    def decode(cls, values: dict[str, Any]) -> Self:
        """Return the order of `encode`."""
        choice = values["choice"]
        source_id, position = values["place"]
        return cls(
            Choice(**choice | {"since": _moment(choice["since"])}),
            tuple(values["sources"]),
            (source_id, position),
            _moment(values["until"]),
        )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class Slice:
    """What became of the ranges of one slice.

    Attributes:
        tally: of them.
        seconds: that it took.
        rest: the order that goes on after it, None where nothing is left.
    """

    tally: Tally
    seconds: float
    rest: Order | None


def replay_slice(engine: Engine, store: CleanStore, order: Order, seconds: float) -> Slice:
    """Read ranges again until so many seconds have passed; at least one is looked at, however long it takes.

    Of two slices over the same ranges at once one waits, and then finds them read already.

    Raises:
        DatabaseUnavailable: what was replaced before stays so; the same order again goes on from there.
        ConfigurationError: a range was read by a format that is not known here.
    """
    began = time.monotonic()
    replayer = Replayer(engine, order.choice, store, LINES_OF_SLICE)
    least, position = order.place
    while (source_id := _next_source(engine, order, least)) is not None:
        for found in replayer.replay(source_id, position if source_id == least else 0):
            if time.monotonic() - began >= seconds:
                rest = replace(order, place=(source_id, found.end))
                return Slice(replayer.tally, time.monotonic() - began, rest)
        least = source_id + 1
    return Slice(replayer.tally, time.monotonic() - began, None)


def _next_source(engine: Engine, order: Order, least: int) -> int | None:
    if order.sources:
        return min((id_ for id_ in order.sources if id_ >= least), default=None)
    return first_source(engine, order.choice, least)
