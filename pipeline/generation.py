"""One source as the checkpoint keeps it: which it is, how far it was confirmed, what it is doing."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from pipeline.fingerprint import Fingerprint


class State(StrEnum):
    """What a source is doing, for people."""

    IDLE = "idle"
    READING = "reading"
    BLOCKED = "blocked"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    TRUNCATED = "truncated"
    DELETED = "deleted"
    GONE = "gone"


#: States of a source whose file is no longer there.
ENDED = frozenset((State.TRUNCATED, State.DELETED, State.GONE))


@dataclass
class Generation:
    """One source and how far it was confirmed.

    Attributes:
        head: digest of the first line.
        offset: every byte before it was confirmed by the broker.
        size, mtime_ns: of the file when it was last seen; `size` of an archive is of what it holds.
        lost_bytes: bytes that were seen and that went away before they could be read.
        unread_at_end: the part of them that comes back if a copy of the file turns up.
        missed_from: offset from which on the copy that is read lacks what the original had; 0 if nothing.
        first_inode: the inode that is in its key; `inode` is that of the file where the rest of it is.
        rotated: the file was renamed or deleted, so that a last line may stay without its newline.
        unread_since: seconds since the epoch when the oldest unread byte was seen; None if all is read.
        seen_at: seconds since the epoch when the file was last seen.
    """

    key: str
    path: str
    device: int
    inode: int
    ordinal: int
    head: str
    offset: int = 0
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    size: int = 0
    mtime_ns: int = 0
    lost_bytes: int = 0
    unread_at_end: int = 0
    missed_from: int = 0
    first_inode: int = 0
    rotated: bool = False
    state: State = State.READING
    unread_since: float | None = None
    seen_at: float = 0.0

    def __post_init__(self) -> None:
        """Keep the first inode."""
        self.first_inode = self.first_inode or self.inode

    @property
    def ended(self) -> bool:
        """True when the file is no longer there."""
        return self.state in ENDED

    @property
    def lag_bytes(self) -> int:
        """Bytes that are in the file and were not confirmed."""
        return 0 if self.ended else max(0, self.size - self.offset)

    def confirm(self, block: bytes, end: int) -> None:
        """Move the offset behind a block that the broker confirmed."""
        if self.ended:
            # The block was in memory when the file went away.
            self.unread_at_end = max(0, self.unread_at_end - len(block))
            self.lost_bytes = max(0, self.lost_bytes - len(block))
        if self.missed_from and end > self.missed_from:
            self.lost_bytes = max(0, self.lost_bytes - (end - self.missed_from))
            self.missed_from = end
        self.offset = end
        self.fingerprint.grow(block, end)

    def to_map(self) -> dict[str, Any]:
        """Return the record of the checkpoint."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "fingerprint": self.fingerprint.to_map(), "state": self.state.value}

    @classmethod
    def from_map(cls, fields: dict[str, Any]) -> Self:
        """Return the generation of a record; fields of a later minor version are left aside."""
        known = {name: value for name, value in fields.items() if name in cls.__dataclass_fields__}
        known["fingerprint"] = Fingerprint.from_map(fields["fingerprint"])
        return cls(**{**known, "state": State(fields["state"])})
