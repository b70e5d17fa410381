"""What kind of file system a folder is on, and whether its events tell what other machines write."""

import os
import re
from pathlib import Path

#: One line for each mount, the later over the earlier; absent where the system is not Linux.
MOUNT_TABLE = Path("/proc/self/mountinfo")
#: Kinds that another machine writes to: the events of this one tell only of its own writes.
REMOTE_KINDS = frozenset(
    ("9p", "afs", "ceph", "cifs", "fuse", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs")
)
#: Kinds of FUSE whose bytes lie on this machine, behind its own kernel.
LOCAL_FUSE = frozenset(("fuse.fuse-overlayfs", "fuse.bindfs", "fuse.mergerfs", "fuse.lxcfs"))


def kind_of(folder: str, table: Path = MOUNT_TABLE) -> str:
    """Return the kind of file system a folder is on, as the mount table names it; empty if unknown."""
    place = os.path.realpath(folder)
    best, found = -1, ""
    for line in _lines(table):
        mount, _, kind = line.partition(" - ")
        point = _plain(mount.split(" ")[4])
        if len(point) >= best and _inside(place, point):
            best, found = len(point), kind.split(" ", 1)[0]
    return found


def is_remote(kind: str) -> bool:
    """Tell whether other machines write to such a file system."""
    return kind in REMOTE_KINDS or (kind.startswith("fuse.") and kind not in LOCAL_FUSE)


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []


def _plain(point: str) -> str:
    r"""Return a mount point without the escapes of the table, such as `\040` for a space."""
    return re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), point)


def _inside(place: str, point: str) -> bool:
    return place == point or place.startswith(point.rstrip("/") + "/")
