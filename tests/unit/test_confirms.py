"""Confirms of several publishes on one channel, in whatever order the broker sends them."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.confirms import Confirms
from pipeline.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a broker says: "ack" or "nack", the number, and whether all before it are meant too.
Word = tuple[str, int, bool]


class Channel:
    """A channel whose broker says the next word at each look; without one, the connection times out."""

    def __init__(self, *words: Word) -> None:
        self.events: defaultdict[str, set[Callable[..., Any]]] = defaultdict(set)
        self.connection = self
        self.is_confirming = False
        self._words = list(words)

    def confirm_select(self) -> None:
        """Begin to confirm."""
        self.is_confirming = True

    def drain_events(self, timeout: float) -> None:
        """Say the next word."""
        assert self.is_confirming
        assert timeout > 0
        if not self._words:
            raise TimeoutError
        kind, number, multiple = self._words.pop(0)
        for call in self.events[f"basic_{kind}"]:
            call(number, multiple)


def three(*words: Word) -> Confirms:
    """Return the confirms of a channel on which three messages were published."""
    confirms = Confirms(Channel(*words))
    assert [confirms.expect() for _ in range(3)] == [1, 2, 3]
    return confirms


@pytest.mark.parametrize(
    "words",
    [
        [("ack", 1, False), ("ack", 2, False), ("ack", 3, False)],
        [("ack", 3, False), ("ack", 1, False), ("ack", 2, False)],
        [("ack", 3, True)],
        [("ack", 2, True), ("ack", 3, True)],
    ],
)
def test_each_is_waited_for(words: list[Word]) -> None:
    """Confirms one by one, out of order or several at once end the wait for exactly what they mean."""
    confirms = three(*words)

    for number in (1, 2, 3):
        confirms.wait(number, 60.0)
    with pytest.raises(TimeoutError):  # nothing more was said
        confirms.wait(confirms.expect(), 60.0)


def test_a_confirm_of_another_is_none() -> None:
    """While the others are confirmed, the wait for one goes on."""
    confirms = three(("ack", 2, False), ("ack", 3, False))

    with pytest.raises(TimeoutError):
        confirms.wait(1, 60.0)


@pytest.mark.parametrize("word", [("nack", 2, False), ("nack", 2, True)])
def test_what_is_refused_is_an_error(word: Word) -> None:
    """A negative confirm is an error of the messages that it means, and of no other."""
    confirms = three(word, ("ack", 3, True))

    with pytest.raises(BrokerUnavailable, match="refused"):
        confirms.wait(2, 60.0)
    confirms.wait(3, 60.0)


def test_a_broker_that_says_nothing_is_waited_for_so_long() -> None:
    """The time is the caller's, whatever else the broker says meanwhile."""
    confirms = three()

    with pytest.raises(BrokerUnavailable, match="no confirm for 0 s"):
        confirms.wait(1, 0.0)
