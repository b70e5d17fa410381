"""Ends a supervisor's children when the supervisor itself is gone, however it went (kill -9 included).

It runs as a process of its own and reads its standard input: `+PID` names a child that leads a process
group, `-PID` says that the group has ended. End of input means that the supervisor is no more.
"""

import contextlib
import os
import signal
import sys
import time

#: Time that a child has to finish the batch in hand, in seconds.
GRACE_SECONDS = 10.0
#: Time between two looks at what still runs, in seconds.
POLL_SECONDS = 0.05


def guard() -> None:
    """Read which groups live until the input ends, then end them: SIGTERM, and SIGKILL after the grace."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # It must outlive Ctrl-C and a shutdown that signals everything: its input alone ends it.
        signal.signal(number, signal.SIG_IGN)
    end_groups(_groups_at_end_of_input())


def _groups_at_end_of_input() -> set[int]:
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line.startswith("+") else groups.discard
        change(int(line[1:]))
    return groups


def end_groups(groups: set[int], grace_seconds: float = GRACE_SECONDS) -> None:
    """Ask the leaders to stop, wait, and kill what is left of each group."""
    for leader in groups:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(map(group_lives, groups)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group in groups:
        kill_group(group)


def group_lives(group: int) -> bool:
    """Return whether a process group has a member."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill_group(group: int) -> None:
    """Kill every member of a process group that still has one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    guard()
