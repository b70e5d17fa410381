"""Which files are found, and which are refused, on a real folder."""

import logging
import os
import socket
from pathlib import Path

import pytest

from pipeline.content import PlainFile, RefusedFile
from pipeline.errors import ConfigurationError
from pipeline.watch import Finder, shown


def names(*patterns: Path | str, follow_links: bool = False) -> list[str]:
    """Return the names that a sweep over patterns finds."""
    found = Finder([str(pattern) for pattern in patterns], follow_links=follow_links).sweep()
    return sorted(Path(sighting.path).name for sighting in found)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a few files."""
    folder = tmp_path / "logs"
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("a.log", "b.log", "c.txt", ".hidden.log", "deep/d.log", "deep/er/e.log"):
        (folder / name).write_bytes(b"line\n")
    return folder


def test_paths_folders_and_globs(logs: Path) -> None:
    """A path is itself, a folder its files, a glob what it matches at any depth; hidden files stay out."""
    assert names(logs / "a.log") == ["a.log"]
    assert names(logs) == ["a.log", "b.log", "c.txt"]
    assert names(logs / "*.log") == ["a.log", "b.log"]
    assert names(logs / "**" / "*.log") == ["a.log", "b.log", "d.log", "e.log"]
    assert names(logs / ".*.log") == [".hidden.log"]
    assert names(logs / "a.log", logs) == ["a.log", "b.log", "c.txt"]


def test_strange_names(logs: Path) -> None:
    """Names with newlines, quotes, brackets, foreign bytes and 255 bytes are found and shown escaped."""
    odd = [os.fsdecode(b"n\xff\n'\x1b[31m.log"), "l" * 251 + ".log", "[x].log"]
    for name in odd:
        (logs / name).write_bytes(b"line\n")
    assert set(odd) <= set(names(logs / "*.log"))
    assert names(logs / "[[]x].log") == ["[x].log"]
    assert all(32 <= ord(character) < 127 for character in shown(odd[0]))


def test_what_is_not_a_regular_file_is_refused(logs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pipes, sockets, links and folders with the name of a log are refused, with one line each."""
    os.mkfifo(logs / "pipe.log")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(logs / "s.log"))
    (logs / "folder.log").mkdir()
    (logs / "loop.log").symlink_to("loop.log")
    (logs / "passwd.log").symlink_to("/etc/passwd")
    (logs / "zero.log").symlink_to("/dev/zero")
    finder = Finder([str(logs / "*.log")])
    with caplog.at_level(logging.WARNING):
        assert [Path(s.path).name for s in (finder.sweep(), finder.sweep())[1]].count("passwd.log") == 0
    listener.close()
    refused = [record.getMessage() for record in caplog.records]
    assert len(refused) == 5
    assert sum("symbolic link" in line for line in refused) == 3


def test_links_are_followed_when_asked(logs: Path) -> None:
    """With links followed a link to a file is read and a link to a device is still refused."""
    (logs / "to_b.log").symlink_to("b.log")
    (logs / "zero.log").symlink_to("/dev/zero")
    assert names(logs / "*o*.log", follow_links=True) == ["to_b.log"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero"])
def test_a_link_swapped_in_is_not_opened(logs: Path, target: str) -> None:
    """A file that became a link after it was found is not opened."""
    (logs / "a.log").unlink()
    (logs / "a.log").symlink_to(target)
    with pytest.raises(RefusedFile, match="symbolic link"):
        PlainFile(str(logs / "a.log"))


def test_a_folder_swapped_for_a_link_is_not_left(logs: Path, tmp_path: Path) -> None:
    """A folder that became a link does not lead the reader outside the watched folders."""
    roots = Finder([str(logs / "**" / "*.log")]).roots
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "d.log").write_bytes(b"secret\n")
    (logs / "deep").rename(tmp_path / "away")
    (logs / "deep").symlink_to(tmp_path / "outside")
    with pytest.raises(RefusedFile, match="outside"):
        PlainFile(str(logs / "deep" / "d.log"), roots)


def test_a_pipe_is_refused_without_waiting(logs: Path) -> None:
    """Opening a pipe that nobody writes to returns at once."""
    os.mkfifo(logs / "pipe.log")
    with pytest.raises(RefusedFile, match="regular"):
        PlainFile(str(logs / "pipe.log"))


def test_a_pattern_without_files_is_named(logs: Path) -> None:
    """A pattern that finds nothing is an error that names it."""
    with pytest.raises(ConfigurationError, match="nothing"):
        Finder([str(logs / "a.log"), str(logs / "nothing.log")]).require()


def test_a_folder_that_is_made_later_is_found(logs: Path) -> None:
    """A path where nothing was at the start is a folder as soon as it is one."""
    finder = Finder([str(logs / "later")])
    assert finder.sweep() == []
    (logs / "later").mkdir()
    (logs / "later" / "a.log").write_bytes(b"line\n")
    assert [sighting.path for sighting in finder.sweep()] == [str(logs / "later" / "a.log")]
    assert finder.takes(str(logs / "later" / "b.log"))
