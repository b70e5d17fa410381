"""What SQLite needs to be a durable store that several processes share."""

import re
import sqlite3
from pathlib import Path

from pipeline.errors import ConfigurationError

#: The first version with RETURNING, which many statements here end with.
OLDEST = (3, 35)
#: Longest wait for another writer, in seconds.
BUSY_SECONDS = 20
#: 16 KiB pages load lines 25 % faster than the default 4 KiB, and as fast as a table without a key.
PAGE_BYTES = 16 << 10
#: What one connection keeps of the file: the pages that a batch of 4 MiB fills have room. More was not faster
#: (8, 16 and 32 MiB within 2 %), and each process would hold it.
CACHE_BYTES = 16 << 20
#: FULL and not NORMAL: a commit is acknowledged to the broker, so it must outlive a power cut. At one
#: commit per block of lines the difference did not show (both 3.4-4.1 s per million lines).
PRAGMAS = (
    f"PRAGMA page_size = {PAGE_BYTES}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA journal_size_limit = {64 << 20}",
    f"PRAGMA cache_size = -{CACHE_BYTES >> 10}",
)
# The driver looks for a way to adapt whatever is no number or text, which takes 0.7 µs for each NULL. Told
# that None stays None, by the fastest function that says so, it looks no more.
sqlite3.register_adapter(type(None), dict[None, None]().get)
#: File systems whose locks or shared memory SQLite cannot trust (https://www.sqlite.org/wal.html).
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "fuse.sshfs", "fuse.glusterfs")
)
_MOUNTS = Path("/proc/self/mountinfo")


def require_version() -> None:
    """Refuse a library of SQLite that is too old for our statements.

    Raises:
        ConfigurationError: names the version that Python is linked with and the one that is needed.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        needed, used = ".".join(map(str, OLDEST)), sqlite3.sqlite_version
        raise ConfigurationError(
            f"DATABASE_URL: SQLite {needed} or newer is needed, and this Python uses {used}. "
            "Use a newer system or Python, or PostgreSQL."
        )


def prepare(connection: sqlite3.Connection) -> None:
    """Set a new connection up; transactions begin only where `BEGIN` is written."""
    connection.isolation_level = None
    # First, since journal_mode itself may wait for a lock.
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    for pragma in PRAGMAS:
        connection.execute(pragma)


def forbid_writes(connection: sqlite3.Connection) -> None:
    """Let a connection read and nothing else."""
    connection.execute("PRAGMA query_only = ON")


def refuse_network(path: Path, mounts: Path = _MOUNTS) -> None:
    """Refuse a database file on a network file system; where mounts cannot be read, nothing is refused.

    Raises:
        ConfigurationError: names the file and the kind of file system.
    """
    kind = _file_system(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigurationError(
            f"DATABASE_URL or SLUICE_STATE_DIR: {path} is on a network file system ({kind}), where SQLite "
            "loses data. Use a local folder, or PostgreSQL."
        )


def _file_system(path: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    # proc(5): ... (5) mount point ... - (9) file system type ...; spaces are octal escapes.
    fields = [(_unescape(line.split()[4]), line.partition(" - ")[2].split()[0]) for line in lines]
    resolved = path.resolve()
    under = [(len(point), kind) for point, kind in fields if resolved.is_relative_to(point)]
    return max(under, default=(0, ""), key=lambda mount: mount[0])[1]


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def rewrite(connection: sqlite3.Connection) -> bool:
    """Write the whole file anew, so that no deleted byte is left in it or beside it; tell whether it is done.

    It is not done while someone else reads or writes, and needs as much free space as the file has.
    """
    connection.execute("VACUUM")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
