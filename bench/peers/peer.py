"""What a peer is, where it runs, and how its programs are found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.nodes import ServiceMissing, program


@dataclass(frozen=True)
class Where:
    """What a peer is given: the servers, the log to store, a folder for its own files."""

    broker_url: str
    database_url: str
    log: Path
    folder: Path

    @property
    def database(self) -> dict[str, str]:
        """Host, port, user and name of the database."""
        url = urlsplit(self.database_url)
        return {
            "host": str(url.hostname),
            "port": str(url.port),
            "user": str(url.username),
            "name": url.path.lstrip("/"),
        }


class Programs(NamedTuple):
    """How a peer is run.

    Attributes:
        stores: programs that are started before the clock and run until they are ended.
        ready: the word that each of them prints when it is ready.
        sends: the program that is started with the clock.
    """

    stores: Sequence[Sequence[str]]
    ready: str
    sends: Sequence[str]


@dataclass(frozen=True)
class Peer:
    """Another way to bring a log into two tables.

    Attributes:
        name: for people.
        lines: what it gets at most, so that it takes less than about a minute.
        lacks: what it does not do and the pipeline does.
        programs: makes its settings and returns how it is run; ServiceMissing says what to install.
    """

    name: str
    lines: int
    lacks: str
    programs: Callable[[Where], Programs]


def unpacked(name: str, modules: str, needed: Sequence[str], packages: str) -> tuple[Path, Path]:
    """Return the program of a daemon and the folder of its modules.

    The daemon is installed, or its packages are unpacked (`dpkg -x`) anywhere and `usr/sbin` of that is on
    PATH: Debian installs only one daemon for system logs at a time.

    Args:
        name: of the program.
        modules: pattern of the folder of its modules, below the root of the package.
        needed: modules that must be there.
        packages: what to install.

    Raises:
        ServiceMissing: something is not installed; says what to install.
    """
    hint = f"not installed: apt-get install {packages}"
    try:
        path = Path(program(name, "/usr/sbin"))
    except ServiceMissing as missing:
        raise ServiceMissing(hint) from missing
    folders = [
        folder
        for folder in root(path).glob(modules)
        if all((folder / f"{module}.so").exists() for module in needed)
    ]
    if not folders:
        raise ServiceMissing(f"{hint} ({name} is there, but not {', '.join(needed)})")
    return path, folders[0]


def root(path: Path) -> Path:
    """Return the root of the package of a program in `usr/sbin`."""
    return path.resolve().parents[2]
