"""Signals that ask a command to end."""

import signal
from collections.abc import Iterator

import pytest

from pipeline.cli.interruption import SIGNALS, Interruption


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """Return an interruption; the handlers of before are put back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Interruption("stopping")
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_in_the_middle_of_a_wait_is_noticed(interruption: Interruption) -> None:
    """A signal that comes while the main thread holds the event's own lock does not stop it for ever."""
    with interruption.asked._cond:
        signal.raise_signal(signal.SIGTERM)

    assert interruption.asked.wait(60)


def test_the_second_signal_ends_at_once(interruption: Interruption) -> None:
    """Whoever asks twice does not want to wait."""
    signal.raise_signal(signal.SIGINT)
    assert interruption.asked.wait(60)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
