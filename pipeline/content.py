"""The bytes of a plain file, opened so that neither a link, a device nor a pipe can be read by mistake."""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError


class RefusedFile(PipelineError):  # noqa: N818 - the vocabulary of the field
    """The file is not one that may be read."""


class PlainFile:
    """An open regular file, read by offset.

    Raises:
        RefusedFile: a link while links are not followed, not a regular file, or outside the roots.
        OSError: the file cannot be opened now.
    """

    def __init__(self, path: str, roots: Sequence[str] = (), *, follow_links: bool = False) -> None:
        # O_NONBLOCK: opening a FIFO would wait for its writer for ever.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
        try:
            self._file = os.open(path, flags)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise RefusedFile("it is a symbolic link; SLUICE_FOLLOW_LINKS=1 follows links") from None
            if error.errno == errno.ENXIO:
                raise RefusedFile("it is not a regular file") from None
            raise
        try:
            self._check(roots, follow_links=follow_links)
        except RefusedFile:
            self.close()
            raise

    def _check(self, roots: Sequence[str], *, follow_links: bool) -> None:
        if not stat.S_ISREG(self.stat().st_mode):
            raise RefusedFile("it is not a regular file")
        place = self.place()
        if roots and place and not follow_links and not place.startswith(tuple(roots)):
            raise RefusedFile("it lies outside the folders that are watched, behind a symbolic link")

    def size(self) -> int:
        """Return the size in bytes."""
        return self.stat().st_size

    def stat(self) -> os.stat_result:
        """Return the status of the open file, whatever its path leads to now."""
        return os.fstat(self._file)

    def place(self) -> str:
        """Return the path of the open file now, after any rename; empty where the system does not tell."""
        with contextlib.suppress(OSError):
            return str(Path(f"/proc/self/fd/{self._file}").readlink())
        return ""

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end only."""
        return os.pread(self._file, size, offset) if size > 0 else b""

    def next_written(self, offset: int) -> int:
        """Return the first offset from `offset` on that is not in a hole; the size if there is none."""
        try:
            return os.lseek(self._file, offset, os.SEEK_DATA)
        except OSError as error:
            # ENXIO: a hole up to the end. Others: the file system knows no holes.
            return max(offset, self.stat().st_size) if error.errno == errno.ENXIO else offset

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
