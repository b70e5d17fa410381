"""Files that are read again when they change: looked at now and then, by time, size and inode."""

from collections.abc import Iterable
from pathlib import Path

#: What tells one content of a file from another.
Mark = tuple[int, int, int]


def mark(path: Path) -> Mark | None:
    """Return what changes when a file is written or replaced, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def marks(paths: Iterable[Path]) -> dict[Path, Mark | None]:
    """Return the mark of each file."""
    return {path: mark(path) for path in paths}
