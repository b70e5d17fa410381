"""Named places at which the fault suite ends, breaks or delays a process; nothing without its variable.

SLUICE_FAILPOINT holds `name:nth:action:marker`, or several of these separated by commas: when the process
reaches the name for the nth time, and nobody has made the marker file yet, it makes the marker and acts:

    kill     ends as by `kill -9`
    raise    raises `FailpointReached`, an error that nobody foresaw
    sleep    waits `SLEEP_SECONDS`
"""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

#: The variable; for tests only, and so none of the settings.
VARIABLE = "SLUICE_FAILPOINT"
#: Longer than a test needs to act meanwhile, in seconds.
SLEEP_SECONDS = 3.0


class FailpointReached(Exception):  # noqa: N818 - it stands for any error
    """A failpoint was told to raise."""


@dataclass
class Failpoint:
    """One place, which turn of it counts, what to do then, and the file that makes it happen only once."""

    turn: int
    action: str
    marker: str
    reached: int = 0

    def reach(self) -> None:
        """Count, and act at the turn."""
        self.reached += 1
        if self.reached == self.turn and self._first():
            self._act()

    def _first(self) -> bool:
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _act(self) -> None:
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action == "raise":
            raise FailpointReached
        time.sleep(SLEEP_SECONDS)


def parse(text: str) -> dict[str, Failpoint]:
    """Return the failpoints of a variable's text by their names."""
    return dict(_parse(part.split(":", 3)) for part in text.split(",") if part)


def _parse(words: Iterable[str]) -> tuple[str, Failpoint]:
    name, turn, action, marker = words
    return name, Failpoint(int(turn), action, marker)


_armed = parse(os.environ.get(VARIABLE, ""))


def reach(name: str) -> None:
    """Do nothing, unless the environment of this process named this place at its start."""
    if _armed and (failpoint := _armed.get(name)):
        failpoint.reach()
