"""The bytes inside a compressed log, read in order with bounded memory."""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from pipeline.content import PlainFile
from pipeline.errors import PipelineError
from pipeline.fingerprint import Content

#: Compressed bytes taken at once.
STEP_BYTES = 64 << 10
#: Most bytes that one step may unfold into before the rest of the step is taken up.
UNFOLD_BYTES = 1 << 20
#: An archive that unfolds to more than this many bytes per compressed byte, and is large, is a bomb.
BOMB_RATIO = 400
#: Below so many unfolded bytes no ratio makes a bomb: NULs and repeated lines compress 1000 to 1.
BOMB_BYTES = 1 << 30


class DamagedArchive(PipelineError):  # noqa: N818 - the vocabulary of the field
    """The archive cannot be read further."""


class _Zlib:
    """A gzip member; zlib's own interface made like that of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, step: bytes, max_length: int) -> bytes:
        """Return up to `max_length` bytes; what is left of the step is kept for the next call."""
        return self._inner.decompress(self._inner.unconsumed_tail + step, max_length)

    @property
    def eof(self) -> bool:
        """True after the last byte of the member."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """Bytes after the member."""
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        """True when the next call needs more compressed bytes."""
        return not self._inner.unconsumed_tail


class _Zstd:
    """A zstd frame; one step unfolds at once, so that it takes small steps."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        self._step = b""

    def decompress(self, step: bytes, max_length: int) -> bytes:  # noqa: ARG002 - the shape of bz2's
        """Return what a small piece of the step unfolds into, whatever `max_length` says."""
        self._step += step
        # 256 bytes unfold into at most a few blocks of 128 KiB.
        piece, self._step = self._step[:256], self._step[256:]
        return self._inner.decompress(piece)

    @property
    def eof(self) -> bool:
        """True after the last byte of the frame."""
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """Bytes after the frame."""
        return self._inner.unused_data + self._step

    @property
    def needs_input(self) -> bool:
        """True when the next call needs more compressed bytes."""
        return not self._step


#: Ending of the name -> what reads one member of such an archive.
CODECS: dict[str, Callable[[], Any]] = {
    ".gz": _Zlib,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
    ".zst": _Zstd,
}


def is_archive(path: str) -> bool:
    """Tell whether a name ends like that of a compressed log."""
    return path.endswith(tuple(CODECS))


class Archive:
    """What a compressed file holds, by offset; going back starts again at the beginning.

    `read` returns fewer bytes than asked for only at the end. `damage` says why it ended early, if it did:
    whole members before the damage are read like any others.
    """

    def __init__(self, path: str, file: PlainFile, *, bomb_bytes: int = BOMB_BYTES) -> None:
        self.damage: str | None = None
        self._bomb_bytes = bomb_bytes
        self._codec = next(make for ending, make in CODECS.items() if path.endswith(ending))
        self._file = file
        self._buffer = bytearray()
        self._rewind()

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        if offset < self._start:
            self._rewind()
        while self._start + len(self._buffer) < offset + size and self._unfold():
            self._drop_before(offset)
        inside = offset - self._start
        return bytes(self._buffer[inside : inside + size])

    def size(self) -> int:
        """Return the number of bytes inside; reads to the end."""
        position = self._start
        while block := self.read(UNFOLD_BYTES, position):
            position += len(block)
        return position

    def next_written(self, offset: int) -> int:
        """Return the offset: an archive has no holes."""
        return offset

    def stat(self) -> os.stat_result:
        """Return the status of the compressed file."""
        return self._file.stat()

    def place(self) -> str:
        """Return the path of the compressed file now."""
        return self._file.place()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rewind(self) -> None:
        self._start = 0
        self._buffer.clear()
        self._taken = 0
        self._unfolded = 0
        self._rest = b""
        self._member: Any = None
        self._ended = False

    def _drop_before(self, offset: int) -> None:
        # A little is kept, so that the anchor before an offset can be read without starting again.
        passed = min(offset - UNFOLD_BYTES - self._start, len(self._buffer))
        if passed > UNFOLD_BYTES:
            del self._buffer[:passed]
            self._start += passed

    def _unfold(self) -> bool:
        if self._ended:
            return False
        try:
            self._buffer += self._next_piece()
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, zstandard.ZstdError) as error:
            self._end(f"damaged after {self._unfolded} bytes: {error}")
        return not self._ended

    def _next_piece(self) -> bytes:
        step = self._rest
        if not step and (self._member is None or self._member.needs_input):
            step = self._file.read(STEP_BYTES, self._taken)
            self._taken += len(step)
            if not step:
                return self._last_piece()
        self._rest = b""
        if self._member is None:
            step = step.lstrip(b"\0") if self._unfolded else step  # tape and tar padding after a member
            if not step:
                return b""
            self._member = self._codec()
        return self._checked(self._member.decompress(step, UNFOLD_BYTES))

    def _last_piece(self) -> bytes:
        # A codec may hold back what its last step unfolded into.
        piece = self._checked(self._member.decompress(b"", UNFOLD_BYTES)) if self._member else b""
        if not piece:
            self._end(None if self._member is None else "it ends in the middle")
        return piece

    def _checked(self, piece: bytes) -> bytes:
        if self._member.eof:
            self._rest, self._member = self._member.unused_data, None
        self._unfolded += len(piece)
        if self._unfolded > self._bomb_bytes and self._unfolded > BOMB_RATIO * self._taken:
            self._end(f"it unfolds more than {BOMB_RATIO} times: refused as a decompression bomb")
        return piece

    def _end(self, damage: str | None) -> None:
        self._ended = True
        self.damage = damage


def open_content(path: str, file: PlainFile) -> Content:
    """Return the content of a file: what it holds if its name is that of an archive, else its bytes."""
    return Archive(path, file) if is_archive(path) else file


def read_range(path: str, start: int, end: int) -> bytes:
    """Return the bytes [start, end) of a log, compressed or not.

    Raises:
        OSError: the file cannot be opened.
        RefusedFile: the path does not lead to a regular file.
        DamagedArchive: the file, or what can be read of the archive, is shorter.
    """
    content = open_content(path, PlainFile(path))
    try:
        block = content.read(end - start, start)
    finally:
        content.close()
    if len(block) != end - start:
        raise DamagedArchive(f"{path!r} has no bytes [{start + len(block)}, {end})")
    return block
