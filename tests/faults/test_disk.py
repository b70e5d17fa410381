"""The database's disk is full, and has room again: the pools wait, nothing is lost, nothing is given up."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.databases import execute, new_database, new_virtual_host
from tests.faults.invariant import Unfinished, count_stored, settle, wait_stored
from tests.faults.system import CLEAN, LAKE, Place, System, running
from tests.faults.writer import Writer
from tests.services import PrivatePostgres, PrivateRabbit, wait_until

pytestmark = pytest.mark.faults
#: Room for an empty database of PostgreSQL with our tables, which is about 9 MiB, and some lines.
DISK_MIB = 24
BLOCK = bytes(1 << 16)


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own, which can be filled up."""

    folder: Path

    def fill(self) -> None:
        """Write a file until nothing more fits; to be called again while something still finds room."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 16, 1 << 12, 1):
                while self._fits(ballast.fileno(), size):
                    pass

    def relieve(self) -> None:
        """Remove that file."""
        (self.folder / "ballast").unlink()

    @staticmethod
    def _fits(file: int, size: int) -> bool:
        try:
            return os.write(file, BLOCK[:size]) > 0
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """Return a small disk that everyone may enter; skipped where no file system can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=777", "tmpfs", str(folder)]
    try:
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a small file system")
        yield SmallDisk(folder)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def overfill(system: System, writer: Writer, disk: SmallDisk) -> None:
    """Fill the disk under load until a pool says so, then make room."""
    writer.write(200)
    wait_stored(system, writer)
    disk.fill()
    lake, clean = count_stored(system, writer)

    def waiting() -> bool:
        writer.write_for(0.3, rate=2000)
        disk.fill()
        return all("waiting: " in system.log(stage) for stage in (LAKE, CLEAN))

    wait_until(waiting, "both pools to wait for room")
    assert (lake, clean) <= count_stored(system, writer) < (writer.count, writer.count)
    disk.relieve()


def test_full_disk_of_postgresql(
    rabbit: PrivateRabbit,
    postgres: PrivatePostgres,
    small_disk: SmallDisk,
    new_place: Callable[[str, str], Place],
    unfinished: Unfinished,
) -> None:
    """A tablespace without room is waited for."""
    space = small_disk.folder / "space"
    space.mkdir()
    owner = (postgres.folder / "data").stat()
    os.chown(space, owner.st_uid, owner.st_gid)
    execute(postgres.url, f"CREATE TABLESPACE small LOCATION '{space}'")
    url = new_database(postgres, "TABLESPACE small")
    try:
        with running(new_place(new_virtual_host(rabbit), url)) as system:
            writer = system.writer()
            overfill(system, writer, small_disk)
            settle(system, writer, unfinished)
    finally:
        execute(postgres.url, f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)", "DROP TABLESPACE small")


def test_full_disk_of_sqlite(small_disk: SmallDisk, new_place: Callable[[str, str], Place]) -> None:
    """A folder without room for the embedded database is waited for."""
    with running(
        new_place("embedded://localhost//", f"sqlite:///{small_disk.folder / 'sluice.db'}")
    ) as system:
        writer = system.writer()
        overfill(system, writer, small_disk)
        settle(system, writer)
