"""What the detections ask about lines of one source; the side of the tables answers (db/observing.py)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# Values that nobody changes; frozen, each of the thousands that a look makes would take three times as long.

#: What stands for an address or a user that a line does not name.
UNKNOWN = "-"


@dataclass(slots=True, unsafe_hash=True)
class Text:
    """A text that lines have: of a `url` its path and query, else the value of one field.

    `count` lines have it, the first of them at `offset`.
    """

    field: str
    text: str
    query: str | None
    count: int
    offset: int


@dataclass(slots=True, unsafe_hash=True)
class Record:
    """A line that has a text."""

    offset: int
    moment: datetime
    address: str
    status: int | None


@dataclass(slots=True, unsafe_hash=True)
class Counted:
    """Lines of one minute, one address, and where it matters one user and path; the first is at `offset`."""

    minute: datetime
    address: str
    user: str
    path: str
    count: int
    offset: int


@dataclass(slots=True, unsafe_hash=True)
class Minute:
    """Lines of one minute of one host: all, with a status of 4xx, of 5xx."""

    minute: datetime
    host: str
    lines: int
    client_errors: int
    server_errors: int


@dataclass(slots=True, unsafe_hash=True)
class Failed:
    """Lines with one status of 400 or more in one minute for one path; the first is at `offset`."""

    minute: datetime
    path: str
    status: int
    count: int
    offset: int


@dataclass(slots=True, unsafe_hash=True)
class Timed:
    """A request that took so many seconds."""

    minute: datetime
    path: str
    seconds: float
    offset: int


@dataclass(slots=True, unsafe_hash=True)
class Said:
    """An error that a program wrote."""

    moment: datetime
    level: str
    message: str
    offset: int


class Lines(Protocol):
    """Consecutive lines of one source."""

    @property
    def count(self) -> int:
        """How many records there are."""

    @property
    def reached(self) -> datetime | None:
        """Time of the newest record."""

    def texts(self) -> Sequence[Text]:
        """Return each distinct text of each field once."""

    def records(self, texts: Sequence[Text]) -> Iterable[tuple[Text, Record]]:
        """Return the lines that have one of these texts, in their order."""

    def logins(self, paths: Sequence[str]) -> Sequence[Counted]:
        """Return failed logins: 401, a POST with 403, one to these paths not answered by 3xx, and sshd's."""

    def missing(self) -> Sequence[Counted]:
        """Return requests for what is not there, by path."""

    def agentless(self) -> Sequence[Counted]:
        """Return requests without an agent."""

    def addresses(self) -> Mapping[str, int]:
        """Return how many lines each address has."""

    def minutes(self) -> Sequence[Minute]:
        """Return the counts by minute and host."""

    def failed(self) -> Sequence[Failed]:
        """Return the counts of errors by minute, path and status."""

    def timed(self) -> Sequence[Timed]:
        """Return a sample of requests with their time."""

    def said(self) -> Sequence[Said]:
        """Return errors of programs, each message of a level once."""
