"""The broker's confirms of what is published on one channel: several may be waited for at once."""

import time
from typing import Any

from pipeline.errors import BrokerUnavailable


class Confirms:
    """Numbers what is published on a channel of py-amqp, and waits for its confirms.

    The channel must not wait itself (`confirm_publish` is off), and nobody else may publish on it.
    """

    def __init__(self, channel: Any) -> None:
        self._connection = channel.connection
        self._last = 0
        self._open: set[int] = set()
        self._refused: set[int] = set()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._acked)
        channel.events["basic_nack"].add(self._nacked)

    def expect(self) -> int:
        """Return the number of what is published next."""
        self._last += 1
        self._open.add(self._last)
        return self._last

    def wait(self, number: int, seconds: float) -> None:
        """Return when the broker has confirmed a publish.

        Raises:
            BrokerUnavailable: it refused it, or said nothing for so long.
            Exception: what the connection says that failed; of a message without a queue too.
        """
        deadline = time.monotonic() + seconds
        while number in self._open:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnavailable(f"no confirm for {seconds:g} s")
            self._connection.drain_events(timeout=left)
        if number in self._refused:
            raise BrokerUnavailable("the broker refused the message")

    def _acked(self, number: int, multiple: bool) -> None:
        self._open -= self._meant(number, multiple)

    def _nacked(self, number: int, multiple: bool) -> None:
        meant = self._meant(number, multiple)
        self._refused |= meant
        self._open -= meant

    def _meant(self, number: int, multiple: bool) -> set[int]:
        return {each for each in self._open if each <= number} if multiple else {number}
