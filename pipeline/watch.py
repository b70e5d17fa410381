"""Which files are there: a sweep over paths, folders and globs, and single looks at one path."""

import fnmatch
import glob
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.errors import ConfigurationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A regular file as one look at its path found it."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Self:
        """Return the sighting of a path with this status."""
        return cls(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One path, folder or glob: the folders it names and the names it takes in them."""

    folder: str
    names: re.Pattern[str]
    single: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the pattern of a path, a folder (its files) or a glob (`**` for any depth)."""
        path = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - resolve() would follow links
        if _is_folder(path):
            return cls(path, _names("*"), None)
        folder, name = os.path.split(path)
        if name == "**":
            return cls(path, _names("*"), None)
        return cls(folder, _names(name), None if glob.has_magic(path) else path)

    @property
    def root(self) -> str:
        """The deepest folder that holds everything the pattern can match."""
        parts = Path(self.folder).parts
        plain = [index for index, part in enumerate(parts) if glob.has_magic(part)]
        return str(Path(*parts[: plain[0]])) if plain else self.folder

    def folders(self) -> list[str]:
        """Return the folders that exist now."""
        if glob.has_magic(self.folder):
            return [path for path in _globbed(self.folder) if _is_folder(path)]
        return [self.folder] if _is_folder(self.folder) else []

    def takes(self, name: str) -> bool:
        """Tell whether the pattern takes a name in one of its folders; hidden files only if it says so."""
        return self.names.match(name) is not None and (self.single is not None or _shown(self, name))


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir() raises where a folder above may not be entered


def _globbed(pattern: str) -> Iterator[str]:
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207 - an absolute pattern, and str in, str out


def _names(pattern: str) -> re.Pattern[str]:
    text = fnmatch.translate(pattern) if glob.has_magic(pattern) else re.escape(pattern) + r"\Z"
    return re.compile(text)


def _shown(pattern: Pattern, name: str) -> bool:
    return not name.startswith(".") or pattern.names.pattern.startswith(r"(?s:\.")


class Finder:
    """Finds files; says once in the log which ones it refuses, and why."""

    def __init__(self, patterns: Sequence[str], *, follow_links: bool = False) -> None:
        self.patterns = [Pattern.parse(text) for text in patterns]
        self.follow_links = follow_links
        self.folders: frozenset[str] = frozenset()
        self._refused: set[tuple[str, str]] = set()
        self._around: dict[str, dict[tuple[int, int], Sighting]] = {}

    @property
    def roots(self) -> list[str]:
        """The folders inside which files may be read, links in their own paths resolved."""
        real = [os.path.realpath(pattern.root) for pattern in self.patterns]
        return [root if root.endswith("/") else root + "/" for root in real]

    def sweep(self) -> list[Sighting]:
        """Look at every file that the patterns take, each once per path."""
        self._around.clear()
        # What was no folder when it was last looked at may have been made, or opened, since.
        self.patterns = [Pattern.parse(p.single) if p.single else p for p in self.patterns]
        seen: dict[str, Sighting] = {}
        folders: set[str] = set()
        for pattern in self.patterns:
            for folder in pattern.folders():
                folders.add(folder)
                for sighting in self._in_folder(pattern, folder):
                    seen.setdefault(sighting.path, sighting)
        self.folders = frozenset(folders)
        return list(seen.values())

    def look(self, path: str) -> Sighting | None:
        """Look at one path; None if there is no regular file that may be read."""
        try:
            status = os.stat(path, follow_symlinks=self.follow_links)  # noqa: PTH116 - no Path object per look
        except OSError:
            return None
        if stat.S_ISREG(status.st_mode):
            return Sighting.of(path, status)
        self._refuse(path, status.st_mode)
        return None

    def takes(self, path: str) -> bool:
        """Tell whether the patterns take a path in one of the folders of the last sweep."""
        folder, name = os.path.split(path)
        return folder in self.folders and any(
            pattern.takes(name) and folder in pattern.folders() for pattern in self.patterns
        )

    def locate(self, device: int, inode: int, near: str) -> Sighting | None:
        """Look for a file that was renamed: in its old folder, in those below it and in those beside it."""
        folder = os.path.dirname(near)  # noqa: PTH120 - str in, str out
        if folder not in self._around:
            self._around[folder] = {sighting.identity: sighting for sighting in _around(folder)}
        return self._around[folder].get((device, inode))

    def around(self, path: str) -> Iterator[Sighting]:
        """Look at the files in the folder of a path, in the folders below it and in those beside it."""
        return _around(os.path.dirname(path))  # noqa: PTH120

    def refuse(self, path: str, reason: str) -> None:
        """Say once that a path is refused; its control characters are escaped."""
        if (path, reason) not in self._refused:
            self._refused.add((path, reason))
            logger.warning("refused %s: %s", shown(path), reason)

    def require(self) -> None:
        """Check that every pattern finds a file and that each can be read.

        Raises:
            ConfigurationError: names the path and what is wrong with it.
        """
        for pattern in self.patterns:
            found = [s for folder in pattern.folders() for s in self._in_folder(pattern, folder)]
            if not found:
                raise ConfigurationError(
                    f"{shown(pattern.single or pattern.folder)}: no readable log file there"
                )
            for sighting in found:
                if not os.access(sighting.path, os.R_OK):
                    raise ConfigurationError(f"{shown(sighting.path)}: permission to read it is missing")

    def _in_folder(self, pattern: Pattern, folder: str) -> Iterable[Sighting]:
        if pattern.single is None:
            return self._matching(pattern, folder)
        sighting = self.look(pattern.single)
        return [sighting] if sighting else []

    def _matching(self, pattern: Pattern, folder: str) -> Iterator[Sighting]:
        for entry in _entries(folder):
            if not pattern.takes(entry.name) or entry.is_dir(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=self.follow_links)
            except OSError:
                continue  # it went away between the listing and the look
            if stat.S_ISREG(status.st_mode):
                yield Sighting.of(entry.path, status)
            else:
                self._refuse(entry.path, status.st_mode)

    def _refuse(self, path: str, mode: int) -> None:
        if stat.S_ISLNK(mode):
            self.refuse(path, "it is a symbolic link; SLUICE_FOLLOW_LINKS=1 follows links")
        elif not stat.S_ISDIR(mode):
            self.refuse(path, "it is not a regular file")


def shown(path: str) -> str:
    """Return a path for a log line: quoted, with control characters and foreign bytes escaped."""
    return ascii(path) if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in path) else repr(path)  # noqa: PLR2004


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _around(folder: str) -> Iterator[Sighting]:
    parent = os.path.dirname(folder)  # noqa: PTH120
    inner = [entry.path for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]
    beside = [entry.path for entry in _entries(parent) if entry.is_dir(follow_symlinks=False)]
    for place in dict.fromkeys((folder, *inner, *beside)):
        yield from (sighting for entry in _entries(place) if (sighting := _regular(entry)))


def _regular(entry: os.DirEntry[str]) -> Sighting | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return Sighting.of(entry.path, status) if stat.S_ISREG(status.st_mode) else None
