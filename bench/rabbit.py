"""A RabbitMQ node of our own."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import amqp
import kombu

from bench.nodes import PrivateNode, free_port, program, stop_child

#: Folder of the server's own programs where its package does not put them on PATH.
RABBITMQ_FOLDERS = "/usr/lib/rabbitmq/bin"
#: Erlang: every quorum queue calls an election; where there is a leader nothing comes of it.
ELECTION = (
    "[catch ra:trigger_election(amqqueue:get_pid(Q)) || Q <- rabbit_amqqueue:list(),"
    " amqqueue:get_type(Q) =:= rabbit_quorum_queue]."
)


class PrivateRabbit(PrivateNode):
    """A RabbitMQ node with its own data, cookie, ports and port mapper.

    `beside` names a node whose port mapper and cookie are shared, so that the two can form a cluster; `lines`
    are added to its rabbitmq.conf.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        beside: "PrivateRabbit | None" = None,
        lines: Sequence[str] = (),
    ) -> None:
        super().__init__(folder)
        self._lines = lines
        self.node = f"sluice-{self.port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._first = beside or self
        self._epmd: subprocess.Popen[bytes] | None = None
        self.epmd_port: int = beside.epmd_port if beside else free_port()
        self._distribution_port = free_port()

    def start(self) -> None:
        """Start the node and return when a client can log in."""
        server = program("rabbitmq-server", RABBITMQ_FOLDERS)
        is_new = not (self.folder / "data").exists()
        self._configure()
        self._first.start_port_mapper()
        self.child = self.spawn([server], self._environment())
        self.wait_for_answer()
        if not is_new:
            self.elect_leaders()

    def elect_leaders(self) -> None:
        """Help a quorum queue that forgot its election, as an operator would: docs/reliability.md says how.

        RabbitMQ 3.10 can leave one without a leader for good after a start.
        """
        self.ctl("eval", ELECTION)

    def start_port_mapper(self) -> None:
        """Start epmd unless it runs: a child, so that it ends with the node and not with the machine."""
        if self._epmd is None or self._epmd.poll() is not None:
            mapper = [program("epmd", RABBITMQ_FOLDERS), "-address", "127.0.0.1", "-port"]
            self._epmd = self.spawn([*mapper, str(self.epmd_port)], os.environ)

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
            # The log of the quorum queues is held in memory until its file is full: 512 MiB by default.
            "raft.wal_max_size_bytes = 33554432",
            # 3.10's default; RabbitMQ 4 takes 16 MiB, less than what a stranger may send in the tests.
            "max_message_size = 134217728",
            *self._lines,
        ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        return {
            **kept,
            "HOME": str(self._first.folder),  # where the cookie lies
            "ERL_EPMD_PORT": str(self.epmd_port),
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


def broker_answers(url: str) -> bool:
    """Tell whether a client can log in at the broker within two seconds."""
    try:
        with kombu.Connection(url, connect_timeout=2) as connection:
            connection.connect()
    except (OSError, amqp.AMQPError):
        return False
    return True
