"""Where events are asked for, and where the sweep is left alone."""

import logging
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import events
from pipeline.events import Hints
from pipeline.mounts import is_remote, kind_of

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:50 / /srv/logs rw,relatime shared:2 master:1 - nfs4 store:/logs rw,vers=4.2
41 27 0:51 / /srv/two\040words rw - fuse.sshfs me@store: rw
42 40 254:1 / /srv/logs/local rw - xfs /dev/vdb rw
43 27 0:52 / /srv/over rw - cifs //store/over rw
44 27 254:2 / /srv/over rw - ext4 /dev/vdc rw
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A mount table with file systems of this machine and of others."""
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.fixture
def hints(tmp_path: Path) -> Iterator[tuple[Hints, threading.Event, Path]]:
    """Hints with their signal, and the mount table that they read."""
    path, wake = tmp_path / "mounts", threading.Event()
    made = Hints(wake, path)
    yield made, wake, path
    made.stop()


@pytest.mark.parametrize(
    ("folder", "kind", "remote"),
    [
        ("/var/log", "ext4", False),
        ("/srv/logs", "nfs4", True),
        ("/srv/logs/app", "nfs4", True),
        ("/srv/logs.old", "ext4", False),
        ("/srv/logs/local/app", "xfs", False),
        ("/srv/two words/app", "fuse.sshfs", True),
        ("/srv/over", "ext4", False),
    ],
)
def test_the_deepest_and_last_mount_counts(table: Path, folder: str, kind: str, *, remote: bool) -> None:
    """A folder is on the deepest mount above it, on the last of several at one place."""
    assert kind_of(folder, table) == kind
    assert is_remote(kind) is remote


def test_without_a_table_nothing_is_remote(tmp_path: Path) -> None:
    """A system without a mount table gets events for every folder."""
    assert kind_of("/srv", tmp_path / "none") == ""
    assert not is_remote("")


def test_this_machine_has_a_table() -> None:
    """The table of the machine itself is understood."""
    assert kind_of("/proc") == "proc"


def test_a_remote_folder_is_left_to_the_sweep(
    tmp_path: Path, hints: tuple[Hints, threading.Event, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """No event comes from a folder that other machines write to, one does from its neighbour; said once."""
    made, wake, table = hints
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    table.write_text(f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {far} rw - nfs4 store:/ rw\n")
    with caplog.at_level(logging.INFO):
        assert made.follow([str(far), str(near)])
        assert not made.follow([str(far), str(near)])
    (far / "a.log").write_bytes(b"far\n")
    (near / "b.log").write_bytes(b"near\n")
    assert wake.wait(60)
    assert made.take() == {str(near / "b.log")}
    assert [record.getMessage() for record in caplog.records] == [
        f"{str(far)!r} is on nfs4: its files are found by the sweep alone"
    ]
    made.follow([])
    assert made.follow([str(near)])


def test_watches_come_back_when_the_system_has_some_again(
    tmp_path: Path,
    hints: tuple[Hints, threading.Event, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without a descriptor for events there are none, said once; with one, a while later, there are."""
    made, wake, _ = hints
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    monkeypatch.setattr(events, "RETRY_SECONDS", 0.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        assert not made.follow([str(tmp_path)])
        assert not made.follow([str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caplog.text.count("found by the sweep alone") == 1
    assert made.follow([str(tmp_path)])
    (tmp_path / "a.log").write_bytes(b"line\n")
    assert wake.wait(60)
    assert str(tmp_path / "a.log") in made.take()


def test_a_system_without_watches_is_not_asked_all_the_time(
    tmp_path: Path, hints: tuple[Hints, threading.Event, Path]
) -> None:
    """After a refusal some seconds pass before the next try, however often the watcher wakes."""
    made, _, _ = hints
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        assert not made.follow([str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not made.follow([str(tmp_path)])
