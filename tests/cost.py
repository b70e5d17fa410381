"""What something costs the processor, on a machine that does other things too."""

import math
import time
from collections.abc import Callable

#: Times that it is measured, at most.
MOST_ROUNDS = 5


def least_seconds(action: Callable[[], object], enough: float) -> float:
    """Return the least processor time that an action took, in seconds; measured again until it is `enough`.

    Other work on the machine can only add to a time.
    """
    least = math.inf
    for _ in range(MOST_ROUNDS):
        began = time.process_time()
        action()
        least = min(least, time.process_time() - began)
        if least < enough:
            break
    return least
