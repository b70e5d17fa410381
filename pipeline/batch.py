"""The batch: whole lines of one source as one block of bytes, and its envelope on the wire.

Envelope, version 1, a map in the message's first argument:

    version       1
    source        map: key, host, path (bytes), device, inode, generation, format
    start, end    byte range of the block in the source, [start, end)
    codec         "zstd"
    checksum      SHA-256 of the uncompressed block, 32 bytes
    block         the compressed bytes
"""

import hashlib
import os
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import zstandard

from pipeline.errors import EnvelopeError
from pipeline.scanner import newlines

#: Version of the envelope; a reader refuses what it does not know.
ENVELOPE_VERSION = 1
#: Largest block that is decompressed, in bytes: four times the largest batch that settings allow.
MAX_BLOCK_BYTES = 64 << 20
#: zstd's fastest ordinary level: 11x at 850 MB/s on access logs; level 3 is 23 % slower.
COMPRESSION_LEVEL = 1
#: Namespace of batch ids, so that the same range of the same source always has the same id.
BATCH_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "sluice:batch")


@dataclass(frozen=True, slots=True)
class Source:
    """One generation of one file on one host.

    Attributes:
        key: what tells it from every other source, 32 hexadecimal digits (see fingerprint.py).
        host: name of the machine whose file it is.
        path: path of the file when it was last seen; it changes with a rename, the key does not.
        device, inode: of the file, for people and for repair.
        generation: 0, or how many earlier files had the same inode and the same first line.
        format: name of the format of its lines, or "auto".
    """

    key: str
    host: str
    path: str
    device: int = 0
    inode: int = 0
    generation: int = 0
    format: str = "auto"

    def to_map(self) -> dict[str, Any]:
        """Return the envelope's form; the path travels as bytes because file names are bytes."""
        return {
            "key": self.key,
            "host": self.host,
            "path": os.fsencode(self.path),
            "device": self.device,
            "inode": self.inode,
            "generation": self.generation,
            "format": self.format,
        }

    @classmethod
    def from_map(cls, fields: dict[str, Any]) -> Self:
        """Return the source that `to_map` wrote."""
        return cls(**{**fields, "path": os.fsdecode(fields["path"])})


@dataclass(frozen=True)
class Batch:
    """A block of bytes of one source: `block` is what stands at [start, end) of the file."""

    source: Source
    start: int
    block: bytes

    @property
    def end(self) -> int:
        """Byte position after the block."""
        return self.start + len(self.block)

    @cached_property
    def checksum(self) -> bytes:
        """SHA-256 of the block, 32 bytes."""
        return hashlib.sha256(self.block).digest()

    @cached_property
    def line_count(self) -> int:
        """Lines in the block; a last one without its newline counts."""
        return newlines(self.block) + (not self.block.endswith(b"\n") and bool(self.block))

    @cached_property
    def id(self) -> str:
        """A UUID of the source, range and bytes: publishing the same again gives the same id."""
        name = f"{self.source.key}:{self.start}:{self.end}:{self.checksum.hex()}"
        return str(uuid.uuid5(BATCH_NAMESPACE, name))

    def __repr__(self) -> str:
        """Name the batch without a byte of its lines: this text reaches Flower, events and worker logs."""
        return f"<batch {self.source.key[:8]} [{self.start}, {self.end}) {self.line_count} lines>"

    def slice(self, start: int, end: int) -> "Batch":
        """Return the part of this batch at [start, end) of the source; for all of it, the batch itself."""
        if (start, end) == (self.start, self.end):
            return self  # with its checksum, which takes 0.16 s per million lines
        return Batch(self.source, start, self.block[start - self.start : end - self.start])

    def encode(self) -> dict[str, Any]:
        """Return the envelope."""
        return {
            "version": ENVELOPE_VERSION,
            "source": self.source.to_map(),
            "start": self.start,
            "end": self.end,
            "codec": "zstd",
            "checksum": self.checksum,
            "block": zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(self.block),
        }

    @classmethod
    def decode(cls, envelope: Any) -> Self:
        """Return the batch of an envelope.

        Raises:
            EnvelopeError: unknown version or codec, a missing or foreign field, a block that does not
                decompress to `end - start` bytes or does not match its checksum.
        """
        try:
            if envelope["version"] != ENVELOPE_VERSION or envelope["codec"] != "zstd":
                raise EnvelopeError(
                    f"unknown envelope: version {envelope['version']!r}, codec {envelope['codec']!r}"
                )
            size = envelope["end"] - envelope["start"]
            if not 0 < size <= MAX_BLOCK_BYTES or envelope["start"] < 0:
                raise EnvelopeError(f"impossible range [{envelope['start']}, {envelope['end']})")
            block = _decompress(envelope["block"], size)
            batch = cls(Source.from_map(envelope["source"]), envelope["start"], block)
        except (KeyError, TypeError, AttributeError, zstandard.ZstdError) as error:
            raise EnvelopeError(f"not an envelope: {type(error).__name__}: {error}") from error
        if batch.checksum != envelope["checksum"]:
            raise EnvelopeError(f"checksum does not match: {batch!r}")
        return batch


def _decompress(frame: bytes, size: int) -> bytes:
    # The frame's own header is not trusted: at most one byte more than announced is ever produced.
    with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
        block = reader.read(size + 1)
    if len(block) != size:
        raise EnvelopeError(f"block has {len(block)} bytes, its range {size}")
    return block
