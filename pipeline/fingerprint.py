"""Which file is it, whatever its name: marks over its bytes, and the key of a source."""

import hashlib
import os
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

#: Bytes at the head of a file that tell it from others; logs differ within their first lines.
PREFIX_BYTES = 1024
#: Bytes before an offset that are compared before reading goes on there: one line of an access log.
ANCHOR_BYTES = 256
#: Marks kept of one source. The newest says where reading stopped, older ones recognise a shorter copy.
MARKS_COUNT = 12
#: Copies remembered of one source.
COPIES_COUNT = 4

_KINDS = ("prefix", "anchors", "copies")


class Content(Protocol):
    """The bytes of one file, by offset; of an archive, its uncompressed bytes."""

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end only."""

    def size(self) -> int:
        """Return the number of bytes; of an archive this reads it to its end."""

    def next_written(self, offset: int) -> int:
        """Return the first offset from `offset` on that is not in a hole; the size if there is none."""

    def stat(self) -> os.stat_result:
        """Return the status of the file itself."""

    def place(self) -> str:
        """Return the path of the file now; empty where the system does not tell."""

    def close(self) -> None:
        """Let the file go."""


def digest(block: bytes) -> str:
    """Return the first 128 bits of the SHA-256 of a block, 32 hexadecimal digits."""
    return hashlib.sha256(block).hexdigest()[:32]


def first_line(head: bytes, *, ended: bool) -> bytes | None:
    """Return the first line of a file, newline included, at most 1 KiB of it; None while it is not complete.

    With `ended`, nothing more is coming and an incomplete first line is the line.
    """
    stop = head.find(b"\n", 0, PREFIX_BYTES) + 1
    if stop:
        return head[:stop]
    return head[:PREFIX_BYTES] if len(head) >= PREFIX_BYTES or (ended and head) else None


def source_key(host: str, inode: int, line: bytes, ordinal: int) -> str:
    """Return the key of a source: everything in it can be read from the file again, but for the ordinal.

    The ordinal counts earlier generations of the same inode with the same first line, so that a file
    which was truncated and begins with the same header again is another source.
    """
    return digest(b"\0".join((host.encode(), str(inode).encode(), str(ordinal).encode(), line)))


@dataclass(frozen=True, slots=True)
class Mark:
    """The digest of `length` bytes that end at offset `end`."""

    end: int
    length: int
    digest: str

    @classmethod
    def of(cls, block: bytes, end: int) -> Self:
        """Return the mark of a block that ends at `end`."""
        return cls(end, len(block), digest(block))

    def holds(self, content: Content) -> bool:
        """Tell whether the content has these bytes at this place."""
        return digest(content.read(self.length, self.end - self.length)) == self.digest


@dataclass
class Fingerprint:
    """Marks of the bytes of a source that were read so far: its prefix, and anchors up to the offset.

    `copies` are marks at the ends of copies that were seen while the source was still followed.
    `head` and `tail` are the bytes behind the prefix and the newest anchor; they live in memory only.
    """

    prefix: Mark | None = None
    anchors: list[Mark] = field(default_factory=list)
    copies: list[Mark] = field(default_factory=list)
    head: bytes = field(default=b"", repr=False)
    tail: bytes = field(default=b"", repr=False)

    def grow(self, block: bytes, end: int) -> None:
        """Take in a block that follows what was read so far and ends at `end`."""
        if self.prefix is None or self.prefix.end < PREFIX_BYTES:
            self.head = (self.head + block[:PREFIX_BYTES])[:PREFIX_BYTES]
            self.prefix = Mark.of(self.head, len(self.head))
        self.tail = (self.tail + block[-ANCHOR_BYTES:])[-ANCHOR_BYTES:]
        self.anchors.append(Mark.of(self.tail, end))
        if len(self.anchors) > MARKS_COUNT:
            # Every second of the older half goes: near the offset marks stay dense, far back they thin out.
            del self.anchors[1 : MARKS_COUNT // 2 : 2]

    def matches(self, content: Content) -> bool:
        """Tell whether the content is what was read, up to the newest anchor."""
        return all(mark.holds(content) for mark in (self.prefix, *self.anchors[-1:]) if mark)

    def covers(self, content: Content, size: int) -> bool:
        """Tell whether a content of `size` bytes, shorter than what was read, is the beginning of it."""
        inside = [mark for mark in self.anchors if mark.end <= size][-1:]
        inside += [mark for mark in self.copies if mark.end == size]
        if self.prefix is not None and self.prefix.end <= size and not self.prefix.holds(content):
            return False
        return any(mark.holds(content) for mark in inside)

    def note_copy(self, content: Content) -> None:
        """Remember how long a copy is, to recognise it when the source has grown past it and is gone."""
        size = content.size()
        length = min(ANCHOR_BYTES, size)
        mark = Mark.of(content.read(length, size - length), size)
        if mark not in self.copies:
            self.copies = [*self.copies[1 - COPIES_COUNT :], mark]

    def recall(self, content: Content, offset: int) -> None:
        """Read the bytes behind the marks again after a restart."""
        self.head = content.read(min(PREFIX_BYTES, offset), 0)
        length = min(ANCHOR_BYTES, offset)
        self.tail = content.read(length, offset - length)

    def still_before(self, content: Content, offset: int) -> bool:
        """Tell whether the bytes before `offset` are still those that were read."""
        return content.read(len(self.tail), offset - len(self.tail)) == self.tail

    def to_map(self) -> dict[str, list[list[Any]]]:
        """Return the marks for the checkpoint."""
        marks = {
            "prefix": [self.prefix] if self.prefix else [],
            "anchors": self.anchors,
            "copies": self.copies,
        }
        return {name: [[m.end, m.length, m.digest] for m in some] for name, some in marks.items()}

    @classmethod
    def from_map(cls, marks: dict[str, list[list[Any]]]) -> Self:
        """Return the fingerprint that `to_map` wrote."""
        prefix, anchors, copies = ([Mark(*mark) for mark in marks[name]] for name in _KINDS)
        return cls(prefix[0] if prefix else None, anchors, copies)
