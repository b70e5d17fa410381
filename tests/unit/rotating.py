"""Logs as a writer rotates them, and what of them a watcher could see."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(eq=False)
class Stream:
    """What a writer wrote between two points where its file began anew.

    Attributes:
        content: every byte of it.
        kept: how many of them are still in a file.
        seen: how many a look could see at some time.
        peak: the same without what a kill made unsure.
        missed: a sweep came by after it was truncated.
        saved: how many a sweep could see: it writes down the size, and a kill does not undo that.
        inode: of the file; the watcher may hold it open after it was deleted.
        copied: its file is a copy, which nobody writes to any more.
        packed: it is in an archive.
    """

    content: bytes = b""
    kept: int = 0
    seen: int = 0
    saved: int = 0
    peak: int = 0
    missed: bool = False
    inode: int = 0
    deleted: bool = False
    copied: bool = False
    packed: bool = False

    @property
    def lined(self) -> bool:
        """True when the first line is complete: without it a copy cannot be told from a new file."""
        return b"\n" in self.content


class Writer:
    """Logs of a folder: what was written to them is kept beside each file.

    Attributes:
        folder: where the logs are, in a folder of their own.
        streams: everything that was ever written.
        names: what the file of each name holds.
        line_number: of the last line.
    """

    folder: Path
    streams: list[Stream]
    names: dict[str, Stream]
    line_number: int

    @property
    def held(self) -> set[int]:
        """Inodes that the watcher holds open: none of them can be given to another file."""
        raise NotImplementedError

    def path(self, name: str) -> Path:
        """Return the path of a log."""
        return self.folder / "logs" / name

    def write(self, block: bytes, name: str = "app.log") -> None:
        """Append to a log, made anew if it is not there."""
        if name not in self.names:
            self.names[name] = Stream()
            self.streams.append(self.names[name])
        with self.path(name).open("ab") as file:
            file.write(block)
        stream = self.names[name]
        stream.inode = self.path(name).stat().st_ino
        stream.content += block
        stream.kept += len(block)

    def fresh(self, length: int) -> bytes:
        """Return bytes that tell their line anywhere in them: no two streams look alike at any offset."""
        self.line_number += 1
        return (b"%06d " % self.line_number * (length // 7 + 2))[: length + 7]

    def forget_name(self, name: str) -> None:
        """Delete the file of a name, if there is one."""
        stream = self.names.pop(name, None)
        if stream is not None:
            self.path(name).unlink()
            stream.deleted = True
            stream.kept = stream.kept if stream.inode in self.held else 0

    def shift(self) -> None:
        """Make room for app.log.1."""
        self.forget_name("app.log.2")
        if "app.log.1" in self.names:
            self.rename("app.log.1", "app.log.2")

    def rename(self, old: str, new: str) -> None:
        """Rename a log."""
        self.path(old).rename(self.path(new))
        self.names[new] = self.names.pop(old)

    def cut(self) -> None:
        """Truncate app.log to nothing: whatever comes next in it is another stream."""
        os.truncate(self.path("app.log"), 0)
        inode = self.names["app.log"].inode
        self.names["app.log"] = Stream(inode=inode)
        self.streams.append(self.names["app.log"])
