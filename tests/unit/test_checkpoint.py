"""The checkpoint against damage, full disks, newer versions and second watchers."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import journal
from pipeline.checkpoint import CheckpointStore, read_offsets, read_status
from pipeline.errors import CheckpointError, ConfigurationError
from pipeline.generation import Generation, State


def generation(number: int, offset: int = 0) -> Generation:
    """Return a generation; equal numbers have equal keys."""
    made = Generation(f"{number:032x}", f"/logs/{number}.log", 1, number, 0, "head")
    if offset:
        made.confirm(b"x" * (offset - 1) + b"\n", offset)
    return made


def saved(path: Path, offsets: range) -> list[bytes]:
    """Write one source at several offsets and return the lines of the journal."""
    with CheckpointStore(path) as store:
        for offset in offsets:
            store.save(generation(7, offset))
    return path.read_bytes().splitlines(keepends=True)


def test_what_was_saved_is_there(tmp_path: Path) -> None:
    """A reopened checkpoint has every field, for a file name of any bytes."""
    path = tmp_path / "checkpoint"
    first = generation(1, 5)
    first.path, first.lost_bytes, first.rotated = os.fsdecode(b"/logs/\xff\n.log"), 3, True
    with CheckpointStore(path) as store:
        store.save(first)
    with CheckpointStore(path) as store:
        assert (
            store.generations == {first.key: first} or store.generations[first.key].to_map() == first.to_map()
        )


def test_a_checkpoint_cut_anywhere_gives_an_earlier_offset(tmp_path: Path) -> None:
    """Wherever a torn write ends, the offset is one that was saved, and a new one can be saved."""
    path = tmp_path / "checkpoint"
    saved(path, range(1, 4))
    content = path.read_bytes()
    journal.previous_path(path).unlink(missing_ok=True)
    seen = set()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        offsets = read_offsets(tmp_path)
        seen.add(offsets.get(generation(7).key, 0))
    assert seen == {0, 1, 2}


def test_a_flipped_byte_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged last record is reported and the record before it is used."""
    path = tmp_path / "checkpoint"
    lines = saved(path, range(1, 4))
    damaged = bytearray(lines[-1])
    for place in range(0, len(damaged) - 1, 7):
        damaged[place] ^= 0x10
        path.write_bytes(b"".join(lines[:-1]) + bytes(damaged))
        assert read_offsets(tmp_path) == {generation(7).key: 2}
        damaged[place] ^= 0x10
    assert "damaged" in caplog.text


def test_the_previous_copy_steps_in(tmp_path: Path) -> None:
    """A checkpoint that is all NULs, as after a crash of the machine, gives way to its previous copy."""
    path = tmp_path / "checkpoint"
    saved(path, range(1, 4))
    with CheckpointStore(path):
        pass  # opening writes the journal anew and keeps the one before
    path.write_bytes(bytes(path.stat().st_size))
    assert read_offsets(tmp_path) == {generation(7).key: 3}


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A checkpoint of a newer Sluice is not guessed at."""
    path = tmp_path / "checkpoint"
    path.write_bytes(journal.encode({"version": journal.JOURNAL_VERSION + 1}))
    with pytest.raises(CheckpointError, match="newer"):
        CheckpointStore(path)


def test_a_second_watcher_is_refused(tmp_path: Path) -> None:
    """Two watchers on one state folder would overtake each other: the second does not start."""
    with (
        CheckpointStore(tmp_path / "checkpoint"),
        pytest.raises(ConfigurationError, match="SLUICE_STATE_DIR"),
    ):
        CheckpointStore(tmp_path / "checkpoint")


def test_a_full_disk_is_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When nothing more can be written the old checkpoint stays; later the newest offset is saved."""
    path = tmp_path / "checkpoint"
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with CheckpointStore(path) as store:
            store.save(generation(7, 1))
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, limits[1]))
            store.save(generation(7, 2))
            store.save(generation(7, 3))
            assert read_offsets(tmp_path) == {generation(7).key: 1}
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            store.sync()
            assert read_offsets(tmp_path) == {generation(7).key: 3}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert caplog.text.count("cannot be saved") == 1


def test_the_journal_stays_small(tmp_path: Path) -> None:
    """A journal of outdated records is written anew; nothing is lost by it."""
    path = tmp_path / "checkpoint"
    with CheckpointStore(path) as store:
        one = generation(7)
        for offset in range(1, 4000):
            one.confirm(b"x", offset)
            store.save(one)
        store.sync()
        assert path.stat().st_size < 1 << 16
    assert read_offsets(tmp_path) == {one.key: 3999}


def test_ordinals_outlive_their_sources(tmp_path: Path) -> None:
    """A source that is forgotten after a long time never gives its key to another one."""
    path = tmp_path / "checkpoint"
    old = generation(7, 5)
    old.state, old.seen_at = State.DELETED, 1.0
    with CheckpointStore(path) as store:
        store.save(old)
    for _ in range(2):
        with CheckpointStore(path) as store:
            assert store.generations == {}
            assert store.next_ordinal(old.inode, old.head) == 1


def test_many_ended_sources_load_quickly(tmp_path: Path) -> None:
    """20,000 sources whose files are gone are read and status shows them."""
    path = tmp_path / "checkpoint"
    with CheckpointStore(path) as store:
        for number in range(20_000):
            store.note(generation(number))
        store.sync()
    assert len(read_status(tmp_path)) == 20_000


def test_a_kill_in_the_middle_of_saving_loses_nothing_confirmed(tmp_path: Path) -> None:
    """A writer that is killed at any time leaves a checkpoint whose offset was saved."""
    script = (
        "import sys; from pathlib import Path; from tests.unit.test_checkpoint import *\n"
        "with CheckpointStore(Path(sys.argv[1]) / 'checkpoint') as store:\n"
        "    for offset in range(1, 10**9):\n"
        "        store.save(generation(7, offset)); store.sync(); print(offset, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(50):
        last = int(child.stdout.readline())
    child.kill()
    rest = child.communicate()[0].split()
    assert read_offsets(tmp_path)[generation(7).key] >= int(rest[-1] if rest else last)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A state folder that cannot be made is the user's mistake, and the message names the variable."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="SLUICE_STATE_DIR") as caught:
        CheckpointStore(tmp_path / "file" / "state" / "checkpoint")
    assert os.strerror(errno.ENOTDIR) in str(caught.value)
