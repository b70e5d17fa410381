"""The hash chain of a source: each seal stands for every segment of the lake before its end.

    link(0)   = SHA-256(context, key of the source)
    link(n)   = SHA-256(link(n - 1), leaf(n))
    leaf(n)   = SHA-256(start, end, lines, time of storing, SHA-256 of the bytes) of the n-th segment
    signature = HMAC-SHA-256(key, context, key of the source, number, start, end, time, marks, link)

A seal keeps the link of its last segment, and eight bytes of each leaf (its mark), which name the segment
where a link is not the one that was sealed.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: Stand before what is hashed and signed, so that it fits nothing else.
_CHAIN, _SEAL = b"sluice chain 1\n", b"sluice seal 1\n"
#: Bytes of a mark.
MARK_BYTES = 8
_LEAF = struct.Struct(">QQQq")
_SIGNED = struct.Struct(">QQQq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Link:
    """A segment of the lake as the chain takes it."""

    start: int
    end: int
    line_count: int
    stored_at: datetime
    checksum: bytes

    @property
    def leaf(self) -> bytes:
        """The hash of everything in it."""
        packed = _LEAF.pack(self.start, self.end, self.line_count, _microseconds(self.stored_at))
        return hashlib.sha256(packed + self.checksum).digest()


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a seal says: the segments of [start, end), which are one more link of the chain each.

    Attributes:
        number: of the seals of a source, from 1.
        marks: eight bytes for each segment.
        hash: the last link.
    """

    number: int
    start: int
    end: int
    marks: bytes
    hash: bytes
    sealed_at: datetime


def first_link(source_key: str) -> bytes:
    """Return the link before the first segment of a source."""
    return hashlib.sha256(_CHAIN + source_key.encode()).digest()


def last_link(before: bytes, leaves: Iterable[bytes]) -> bytes:
    """Return the link after some leaves."""
    for leaf in leaves:
        before = hashlib.sha256(before + leaf).digest()
    return before


def marks_of(leaves: Iterable[bytes]) -> bytes:
    """Return the marks of some leaves."""
    return b"".join(leaf[:MARK_BYTES] for leaf in leaves)


def signature(source_key: str, sealed: Sealed, key: bytes) -> bytes:
    """Return the signature of a seal."""
    numbers = _SIGNED.pack(sealed.number, sealed.start, sealed.end, _microseconds(sealed.sealed_at))
    digests = hashlib.sha256(sealed.marks).digest() + sealed.hash
    return hmac.digest(key, _SEAL + source_key.encode() + b"\n" + numbers + digests, "sha256")


def is_signed(source_key: str, sealed: Sealed, given: bytes | None, keys: Sequence[bytes]) -> bool:
    """Tell whether one of the keys has signed a seal."""
    return given is not None and any(
        hmac.compare_digest(given, signature(source_key, sealed, key)) for key in keys
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
