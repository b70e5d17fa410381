"""RabbitMQ and PostgreSQL for the tests: private nodes, started and stopped here, on ports of their own."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import amqp
import kombu
import psutil
import psycopg2

#: Seconds that a private node may take to answer; 2 slow cores need about 8.
START_SECONDS = 90.0
#: Seconds between two looks at a condition.
POLL_SECONDS = 0.05
#: Folders of the servers' own programs where a package does not put them on PATH.
POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin"
RABBITMQ_FOLDERS = "/usr/lib/rabbitmq/bin"


class ServiceMissing(Exception):  # noqa: N818 - a reason to skip, not always an error
    """A service is neither here nor can it be started."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the first true value of the condition, or fail naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(POLL_SECONDS)
    return value


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, folders: str) -> str:
    """Return the path of a server's program, the folder of its package before PATH.

    Raises:
        ServiceMissing: it is not installed.
    """
    # Debian's /usr/sbin/rabbitmq-server changes the user and the folder: the package's own script does not.
    newest_first = sorted(glob.glob(folders), reverse=True)  # noqa: PTH207 - an absolute pattern
    path = shutil.which(name, path=os.pathsep.join(newest_first)) or shutil.which(name)
    if path is None:
        raise ServiceMissing(f"{name} is not installed")
    return path


def stop_child(child: subprocess.Popen[bytes] | None, number: int, seconds: float = 30.0) -> None:
    """Signal a child and wait for its end; one that outlives the wait is killed with its descendants."""
    if child is None or child.poll() is not None:
        return
    descendants = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(number)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _, alive = psutil.wait_procs(descendants, timeout=0 if number == signal.SIGKILL else 5)
    for orphan in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(alive, timeout=5)


class _PrivateNode:
    """A server in a folder of its own, on ports of its own; a context that starts it and removes it."""

    def __init__(self, folder: Path | None) -> None:
        self._owns_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.child: subprocess.Popen[bytes] | None = None

    def _spawn(self, arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal reaches the tests alone, which then stop it in order.
        with (self.folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment},
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait_for_answer(self) -> None:
        def answered_or_ended() -> bool:
            assert self.child is not None
            return self.answers() or self.child.poll() is not None

        wait_until(answered_or_ended, f"{type(self).__name__} to answer", START_SECONDS)
        if not self.answers():
            tail = (self.folder / "output.log").read_text(errors="replace")[-800:]
            raise ServiceMissing(f"{type(self).__name__} ended at its start: {tail}")

    def answers(self) -> bool:
        """Tell whether a client can log in."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and return when it answers."""
        raise NotImplementedError

    def kill(self) -> None:
        """End the server at once, as a power cut would, its files left as they are."""
        stop_child(self.child, signal.SIGKILL)

    def close(self) -> None:
        """End the server and remove its folder if it was made here."""
        self.kill()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PrivateRabbit(_PrivateNode):
    """A RabbitMQ node with its own data, cookie, ports and port mapper.

    `beside` names a node whose port mapper and cookie are shared, so that the two can form a cluster.
    """

    def __init__(self, folder: Path | None = None, *, beside: "PrivateRabbit | None" = None) -> None:
        super().__init__(folder)
        self.node = f"sluice-{self.port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._first = beside or self
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_port = beside._epmd_port if beside else free_port()
        self._distribution_port = free_port()

    def start(self) -> None:
        """Start the node and return when a client can log in."""
        server = program("rabbitmq-server", RABBITMQ_FOLDERS)
        self._configure()
        self._first.start_port_mapper()
        self.child = self._spawn([server], self._environment())
        self._wait_for_answer()

    def start_port_mapper(self) -> None:
        """Start epmd unless it runs: a child, so that it ends with the node and not with the machine."""
        if self._epmd is None or self._epmd.poll() is not None:
            mapper = [program("epmd", RABBITMQ_FOLDERS), "-address", "127.0.0.1", "-port"]
            self._epmd = self._spawn([*mapper, str(self._epmd_port)], os.environ)

    def stop(self) -> None:
        """Shut the node down in order; its data stay for the next start."""
        stop_child(self.child, signal.SIGTERM, 60)

    def restart(self) -> None:
        """Shut the node down in order and start it again on the same port with the same data."""
        self.stop()
        self.start()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node (about one second) and return what it prints."""
        command = [program("rabbitmqctl", RABBITMQ_FOLDERS), "--quiet", "-n", self.node, *arguments]
        return subprocess.run(
            command, env=self._environment(), cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout

    def answers(self) -> bool:
        """Tell whether a client can log in."""
        return broker_answers(self.url)

    def close(self) -> None:
        """End the node and its port mapper, and remove its folder if it was made here."""
        stop_child(self.child, signal.SIGKILL)
        stop_child(self._epmd, signal.SIGTERM)
        super().close()

    def _configure(self) -> None:
        lines = [
            f"listeners.tcp.local = 127.0.0.1:{self.port}",
            "log.file.level = warning",
            "disk_free_limit.absolute = 50MB",
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        return {
            **kept,
            "HOME": str(self._first.folder),  # where the cookie lies
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The script then becomes the virtual machine, so that a signal to our child is one to the broker.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


class PrivatePostgres(_PrivateNode):
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
        self.child = self._spawn([*_as_ordinary_user(), *arguments], os.environ)
        self._wait_for_answer()

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


def broker_answers(url: str) -> bool:
    """Tell whether a client can log in at the broker within two seconds."""
    try:
        with kombu.Connection(url, connect_timeout=2) as connection:
            connection.connect()
    except (OSError, amqp.AMQPError):
        return False
    return True


def database_answers(url: str) -> bool:
    """Tell whether a client can log in at the PostgreSQL server within two seconds."""
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.Error:
        return False
    return True
