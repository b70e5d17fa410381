"""What something costs the processor, on a machine that does other things too."""

import math
import time
from collections.abc import Callable

#: Times that it is measured, at most.
MOST_ROUNDS = 5
#: Turns in which two inputs are measured: a slow moment must not make all the times of the short one long.
FEWEST_TURNS, MOST_TURNS = 3, 12
#: How much longer the long one of two compared inputs is, and what it may cost: sixteen times as much where
#: time grows with the length, 256 times as much where it grows with its square.
TIMES_LONGER, MOST_GROWTH = 16, 40
#: What a call, a look into a cold cache and the clock itself may add to a time.
NOISE_SECONDS = 0.01


def seconds(action: Callable[[], object]) -> float:
    """Return the processor time that an action took."""
    began = time.process_time()
    action()
    return time.process_time() - began


def least_seconds(action: Callable[[], object], enough: float) -> float:
    """Return the least processor time that an action took, in seconds; measured again until it is `enough`.

    Other work on the machine can only add to a time.
    """
    least = math.inf
    for _ in range(MOST_ROUNDS):
        least = min(least, seconds(action))
        if least < enough:
            break
    return least


def grows_in_line(short: Callable[[], object], long: Callable[[], object]) -> bool:
    """Tell whether an action on an input TIMES_LONGER takes at most MOST_GROWTH times the processor time.

    Measured in turn, the least of each counts. Neither may keep what it found: the next turn would be free.
    """
    least_short = least_long = math.inf
    for turn in range(1, MOST_TURNS + 1):
        least_short = min(least_short, seconds(short))
        least_long = min(least_long, seconds(long))
        if turn >= FEWEST_TURNS and least_long <= MOST_GROWTH * least_short + NOISE_SECONDS:
            return True
    return False
