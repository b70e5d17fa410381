"""A PostgreSQL server of our own."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

import psycopg2

from bench.nodes import PrivateNode, ServiceMissing, program, stop_child

#: Folders of the server's own programs where its package does not put them on PATH.
POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin"


class PrivatePostgres(PrivateNode):
    """A PostgreSQL server with its own data folder and port, trusting the loopback interface.

    A given folder must be reachable by the server's user, which is not root.
    """

    def __init__(self, folder: Path | None = None, **options: str) -> None:
        super().__init__(folder)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        # A killed server loses nothing without fsync, only a killed machine does.
        self._options = {"fsync": "off", "max_connections": "100", **options}
        self._data = self.folder / "data"

    def start(self) -> None:
        """Make the data folder at the first start, start the server, return when it answers."""
        server = program("postgres", POSTGRESQL_FOLDERS)
        if not self._data.exists():
            self._initialise()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._options}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        arguments = [server, "-D", str(self._data), "-p", str(self.port), *flags]
        self.child = self.spawn([*_as_ordinary_user(), *arguments], os.environ)
        self.wait_for_answer()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart` waits for clients, `fast` ends them, `immediate` skips the checkpoint."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        stop_child(self.child, number, 60)

    def restart(self, mode: str = "fast") -> None:
        """Stop the server in the given mode and start it again on the same port with the same data."""
        self.stop(mode)
        self.start()

    def answers(self) -> bool:
        """Tell whether a client can log in."""
        return database_answers(self.url)

    def _initialise(self) -> None:
        initdb = program("initdb", POSTGRESQL_FOLDERS)
        if os.getuid() == 0:
            user = _ordinary_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        choices = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [*_as_ordinary_user(), initdb, "-D", str(self._data), *choices]
        made = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        if made.returncode:
            raise ServiceMissing(f"initdb failed: {made.stderr.strip()[-800:]}")


def _ordinary_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_ordinary_user() -> list[str]:
    # PostgreSQL refuses to run as root.
    if os.getuid() != 0:
        return []
    user = _ordinary_user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def database_answers(url: str) -> bool:
    """Tell whether a client can log in at the PostgreSQL server within two seconds."""
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.Error:
        return False
    return True
