"""The watcher on real files through rotation, truncation and restarts, by a false clock."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from tests.integration.shipper import Shipper, lines


def copytruncate(path: Path, copy: Path) -> None:
    """Rotate as logrotate does with copytruncate."""
    shutil.copyfile(path, copy)
    os.truncate(path, 0)


def test_inode_reuse(shipper: Shipper) -> None:
    """A file that takes the inode of a deleted one is read from its start (1,000 generations)."""
    path = shipper.logs / "a.log"
    expected = []
    for number in range(1000):
        expected.append(b"generation %06d\n" % number)
        path.unlink(missing_ok=True)
        path.write_bytes(expected[-1])
        shipper.loop.step(shipper.clock)
        shipper.clock += 1.1
    shipper.work()
    assert sorted(shipper.publisher.sources().values()) == expected
    assert shipper.lost_bytes() == 0


@pytest.mark.parametrize("count", [5, 300])
def test_truncated_while_stopped(shipper: Shipper, count: int) -> None:
    """A file truncated while nobody looked, smaller or regrown past the offset, is read once from 0."""
    path = shipper.append("a.log", lines(0, 100))
    shipper.work()
    shipper.restart(lambda: path.write_bytes(lines(1000, 1000 + count)))
    shipper.restart(lambda: None)
    assert list(shipper.publisher.sources().values()) == [lines(0, 100), lines(1000, 1000 + count)]


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("pattern", ["*", "a.log"])
def test_copytruncate(tmp_path: Path, pattern: str, *, stopped: bool) -> None:
    """What was written before a copytruncate and not read yet is read from the copy, as the same source."""
    shipper = Shipper(tmp_path, pattern)
    path = shipper.append("a.log", lines(0, 100))
    shipper.work()

    def rotate() -> None:
        shipper.append("a.log", lines(100, 150))
        copytruncate(path, shipper.logs / "a.log.1")
        shipper.append("a.log", lines(150, 400))

    if stopped:
        shipper.restart(rotate)
    else:
        rotate()
    shipper.work(10)
    assert list(shipper.publisher.sources().values()) == [lines(0, 150), lines(150, 400)]
    assert shipper.lost_bytes() == 0
    shipper.kill()


def test_a_truncation_without_a_copy_is_counted(shipper: Shipper) -> None:
    """Bytes that were seen, not confirmed and cut off are counted, and named lost in the status."""
    path = shipper.append("a.log", lines(0, 1))
    shipper.work()
    shipper.publisher.refuse_count = 1000
    shipper.append("a.log", lines(1, 9000))
    shipper.work()
    assert shipper.status()["a.log"].state == "blocked"
    size = path.stat().st_size
    os.truncate(path, 0)
    shipper.work()
    shipper.publisher.refuse_count = 0
    shipper.work(20)
    stored = len(shipper.publisher.text())
    assert shipper.lost_bytes() == size - stored > 0


def test_rename_three_times_while_stopped(shipper: Shipper) -> None:
    """Files that moved on by several rotations are not read again, and new ones from their start."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()

    def rotate() -> None:
        for number in range(3):
            for old in (2, 1):
                if (shipper.logs / f"a.log.{old}").exists():
                    (shipper.logs / f"a.log.{old}").rename(shipper.logs / f"a.log.{old + 1}")
            shipper.append("a.log", lines(100 + number * 10, 103 + number * 10))
            (shipper.logs / "a.log").rename(shipper.logs / "a.log.1")
        shipper.append("a.log", lines(900, 901))

    shipper.restart(rotate)
    found = sorted(shipper.publisher.sources().values())
    assert found == [lines(0, 10) + lines(100, 103), lines(110, 113), lines(120, 123), lines(900, 901)]


def test_moved_into_another_folder(tmp_path: Path) -> None:
    """A file rotated into another folder of the file system is read to its end, also after a restart."""
    shipper = Shipper(tmp_path, "a.log")
    path = shipper.append("a.log", lines(0, 10))
    shipper.work()

    def rotate() -> None:
        shipper.append("a.log", lines(10, 20))
        (tmp_path / "old").mkdir()
        path.rename(tmp_path / "old" / "a-20260101.log")
        shipper.append("a.log", lines(50, 60))

    shipper.restart(rotate)
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 20), lines(50, 60)]
    shipper.kill()


def test_a_missing_path_is_not_the_end(shipper: Shipper) -> None:
    """Between the rename and the new file nothing ends: the new file is found when it comes."""
    for number in range(20):
        shipper.append("a.log", lines(number, number + 1))
        shipper.work(1)
        (shipper.logs / "a.log").rename(shipper.logs / f"a.log.{number}")
        shipper.work(number % 4)
    shipper.work()
    assert b"".join(sorted(shipper.publisher.sources().values())) == lines(0, 20)


@pytest.mark.parametrize("head", [b"#Fields: date time\n" * 110, b"h\n", b"no newline yet"])
def test_files_with_the_same_head_stay_apart(shipper: Shipper, head: bytes) -> None:
    """50 files that begin alike, longer or shorter than the prefix, are 50 sources."""
    for number in range(50):
        shipper.append(f"{number:02}.log", head)
    shipper.work(8)
    for number in range(50):
        shipper.append(f"{number:02}.log", b" \nline %d\n" % number)
    shipper.work(8)
    expected = sorted(head + b" \nline %d\n" % number for number in range(50))
    assert sorted(shipper.publisher.sources().values()) == expected


def test_the_last_line_waits_for_its_end(shipper: Shipper) -> None:
    """A line without its newline is published when its file has ended, and never while it lives."""
    shipper.append("a.log", b"one\ntw")
    shipper.work(20)
    assert shipper.publisher.text() == b"one\n"
    (shipper.logs / "a.log").rename(shipper.logs / "a.log.1")
    shipper.work(20)
    assert shipper.publisher.text() == b"one\ntw"


def test_deleted_while_unread(shipper: Shipper) -> None:
    """A deleted file is read to its end, last line included, and then its disk space is given back."""
    path = shipper.append("a.log", lines(0, 5000))
    shipper.loop.step(shipper.clock)
    path.unlink()
    shipper.work(20)
    assert shipper.publisher.text() == lines(0, 5000)
    assert shipper.sources.tails == {}
    assert shipper.status()["a.log"].state == "deleted"


def test_an_editor_replaces_the_file(shipper: Shipper) -> None:
    """A file that another one took the place of is another source."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()
    shipper.append("a.new", lines(20, 30)).rename(shipper.logs / "a.log")
    shipper.work(10)
    assert sorted(shipper.publisher.sources().values()) == [lines(0, 10), lines(20, 30)]


def test_newest_first(shipper: Shipper) -> None:
    """A backfill begins with the file written last when it is told so."""
    for number in range(3):
        path = shipper.append(f"{number}.log", lines(number, number + 1))
        os.utime(path, (1000 + number, 1000 + number))
    shipper.kill()
    shipper.start(once=True, newest_first=True)
    shipper.work()
    assert shipper.publisher.text() == lines(2, 3) + lines(1, 2) + lines(0, 1)


def test_hard_links_are_one_source(shipper: Shipper) -> None:
    """Two names of one file are one source."""
    path = shipper.append("a.log", lines(0, 10))
    (shipper.logs / "b.log").hardlink_to(path)
    shipper.work(10)
    assert shipper.publisher.text() == lines(0, 10)


def test_more_files_than_descriptors(tmp_path: Path) -> None:
    """With few descriptors many growing files are all read; no more than the limit are open."""
    shipper = Shipper(tmp_path)
    shipper.kill()
    shipper.open_count = 8
    shipper.start()
    for turn in range(3):
        for number in range(100):
            shipper.append(f"{number:03}.log", b"file %d turn %d\n" % (number, turn))
        shipper.work()
        assert sum(tail.content is not None for tail in shipper.sources.tails.values()) <= 8
    assert len(shipper.publisher.sources()) == 100
    assert len(shipper.publisher.text().splitlines()) == 300
    shipper.kill()


def test_a_lost_checkpoint_gives_the_same_keys(shipper: Shipper) -> None:
    """Without its checkpoint the watcher reads again under the same keys, which a ledger drops."""
    shipper.append("a.log", lines(0, 10))
    shipper.work()
    shipper.restart(lambda: shutil.rmtree(shipper.state))
    assert list(shipper.publisher.sources().values()) == [lines(0, 10)]
    assert len(shipper.publisher.batches) == 2


def test_a_blocked_broker_stops_the_reading(shipper: Shipper) -> None:
    """While the broker refuses nothing more is read; afterwards nothing is missing and the order is kept."""
    shipper.publisher.refuse_count = 5
    shipper.append("a.log", lines(0, 20_000))
    shipper.work(1)
    assert shipper.status()["a.log"].state == "blocked"
    assert shipper.status()["a.log"].lag_bytes == len(lines(0, 20_000))
    shipper.work(60)
    assert shipper.publisher.text() == lines(0, 20_000)
    assert shipper.status()["a.log"].state == "idle"


def test_a_run_of_nuls_is_said_once(shipper: Shipper, caplog: pytest.LogCaptureFixture) -> None:
    """Each run of NULs comes through as it is, with one warning that names path, length and offset."""
    holes = (3 << 16, 100_000)
    block = lines(0, 10) + bytes(holes[0]) + lines(10, 20) + bytes(holes[1]) + lines(20, 30)
    with caplog.at_level(logging.WARNING):
        path = shipper.append("a.log", block)
        shipper.work()
        shipper.append("a.log", lines(30, 40))
        shipper.work()
        shipper.restart(lambda: None)
    said = [record.getMessage() for record in caplog.records]
    starts = (block.index(b"\0"), block.rindex(b"\0") + 1 - holes[1])
    assert [
        f"{str(path)!r}: {n} NUL bytes at offset {at} " in line
        for n, at, line in zip(holes, starts, said, strict=True)
    ] == [True, True]
    assert shipper.publisher.text() == block + lines(30, 40)
