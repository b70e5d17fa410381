"""The whole system hardened: servers that speak TLS alone, a user for each role, secrets in files."""

import base64
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import kombu
import psycopg2

from bench.servers import execute
from db import schema
from pipeline.topology import MAINTENANCE, Stage
from tests.certificates import Authority, Pair
from tests.services import PrivatePostgres, PrivateRabbit, free_port

ROOT = Path(__file__).parents[1]
FLOWER_USER = "viewer:canary-of-flower"


class TlsRabbit(PrivateRabbit):
    """A node with a TLS port beside its plain one, which only `rabbitmqctl` and the test's set-up use."""

    def __init__(self, authority: Authority, server: Pair) -> None:
        self.tls_port = free_port()
        super().__init__(
            lines=(
                f"listeners.ssl.local = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {authority.ca}",
                f"ssl_options.certfile = {server.certificate}",
                f"ssl_options.keyfile = {server.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            )
        )

    def tls_url(self, user: str = "guest:guest", host: str = "localhost", vhost: str = "/") -> str:
        """Return the URL of the TLS port."""
        return f"amqps://{user}@{host}:{self.tls_port}/{vhost}"


class TlsPostgres(PrivatePostgres):
    """A server that takes its superuser from loopback, others with password, TLS and certificate."""

    def __init__(self, authority: Authority, server: Pair) -> None:
        super().__init__()
        keys = self.folder / "tls"
        keys.mkdir()
        for path in (authority.ca, server.certificate, server.key):
            shutil.copy(path, keys / path.name)
            if os.getuid() == 0:
                user = pwd.getpwnam("postgres")
                os.chown(keys / path.name, user.pw_uid, user.pw_gid)
        access = keys / "pg_hba.conf"
        access.write_text(
            "host all postgres 127.0.0.1/32 trust\n"
            "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        )
        self._options |= {
            "ssl": "on",
            "ssl_ca_file": str(keys / authority.ca.name),
            "ssl_cert_file": str(keys / server.certificate.name),
            "ssl_key_file": str(keys / server.key.name),
            "hba_file": str(access),
        }

    def tls_url(
        self, user: str, database: str, ca: Path, client: Pair | None, host: str = "localhost"
    ) -> str:
        """Return the URL of a user who verifies the server by this authority."""
        shown = f"&sslcert={client.certificate}&sslkey={client.key}" if client else "&sslcert=/nowhere"
        return (
            f"postgresql://{user}@{host}:{self.port}/{database}?sslmode=verify-full&sslrootcert={ca}{shown}"
        )


@dataclass
class Installation:
    """Servers, folders, and what runs on them."""

    rabbit: TlsRabbit
    postgres: TlsPostgres
    folder: Path
    common: dict[str, str]
    port: int = field(default_factory=free_port)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        """Return the content of a secret file."""
        return (self.folder / "secrets" / name).read_text().strip()

    def environment(self, broker: str, database: str = "") -> dict[str, str]:
        """Return the environment of a process with these roles: names of files, and no secret."""
        files = {"BROKER_URL_FILE": f"broker-url-{broker}"}
        if database:
            files["DATABASE_URL_FILE"] = f"database-url-{database}"
        files["SLUICE_SIGNING_KEY_FILE"], files["FLOWER_BASIC_AUTH_FILE"] = "signing-key", "flower"
        folder = self.folder / "secrets"
        return {**os.environ, **self.common, **{name: str(folder / file) for name, file in files.items()}}

    def start(self, name: str, roles: tuple[str, str], *arguments: str) -> None:
        """Start a process of ours; its output goes to a log of its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT, env=self.environment(*roles), stdout=log, stderr=log,
            )  # fmt: skip

    def start_all(self) -> None:
        """Start watcher, pools, beat and Flower, each with its own role."""
        worker = ("celery", "-A", "tasks", "worker", "-c", "1", "-l", "DEBUG")
        self.start("watcher", ("watcher", ""), "pipeline", "watch", str(self.folder / "logs"))
        for stage in Stage:
            name = stage.value
            own = ("-Q", stage.queue_name, "-X", MAINTENANCE, "-n", f"{name}@%h")
            self.start(name, (name, name), *worker, *own)
        own = ("-Q", MAINTENANCE, "-n", "maintenance@%h")
        self.start("maintenance", ("maintenance", "maintenance"), *worker, *own)
        self.start("beat", ("beat", "beat"), "celery", "-A", "tasks", "beat", "-l", "DEBUG", "--pidfile=")
        flower = ("celery", "-A", "tasks", "flower", f"--port={self.port}", "--address=0.0.0.0")
        self.start("flower", ("flower", ""), *flower)

    def run(self, roles: tuple[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of ours to its end."""
        command = [sys.executable, "-m", "pipeline", *arguments]
        environment = self.environment(*roles)
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def count(self, table: str) -> int:
        """Return the rows of a table."""
        connection = psycopg2.connect(self.postgres.url.removesuffix("/postgres") + "/logs")
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT count(*) FROM {table}")
            return int((cursor.fetchone() or [0])[0])
        finally:
            connection.close()

    def get(self, path: str, user: str | None = FLOWER_USER, method: str = "GET") -> tuple[int, str]:
        """Ask Flower; return status and body, 0 while it does not answer."""
        headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(
            url, method=method, headers=headers, data=b"" if method == "POST" else None
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def admin(self) -> kombu.Connection:
        """Return a connection of the administrator, on the plain port of loopback."""
        url = re.sub(r"^amqps(.*):\d+/", rf"amqp\1:{self.rabbit.port}/", self.secret("broker-url-admin"))
        return kombu.Connection(url)

    @property
    def logs(self) -> str:
        """Everything that every process has said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


def provision(rabbit: TlsRabbit, postgres: TlsPostgres, authority: Authority, folder: Path) -> Installation:
    """Make users, roles and secrets with the command, as an administrator does."""
    client = authority.issue("client")
    tls = {"CA": authority.ca, "CERTIFICATE": client.certificate, "KEY": client.key}
    common = {f"SLUICE_TLS_{name}": str(path) for name, path in tls.items()}
    common |= {"SLUICE_STATE_DIR": str(folder / "var"), "SLUICE_AUDIT_SECONDS": "2"}
    system = Installation(rabbit, postgres, folder, common)
    owner = postgres.url.removesuffix("/postgres") + "/logs"
    execute(postgres.url, "CREATE DATABASE logs ENCODING 'UTF8' TEMPLATE template0")
    schema.upgrade(owner)
    place = ["--secrets", str(folder / "secrets")]
    database = postgres.tls_url("x", "logs", authority.ca, client).replace("x@", "")
    broker = rabbit.tls_url("x", vhost="sluice").replace("x@", "")
    definitions = str(folder / "definitions.json")
    for arguments in (
        ["rabbitmq", "--url", broker, "--output", definitions, *place],
        ["postgresql", "--apply", "--url", database, *place],
    ):
        environment = {**os.environ, "DATABASE_URL": owner}
        command = [sys.executable, "-m", "pipeline", "provision", *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    rabbit.ctl("import_definitions", definitions)
    rabbit.ctl("delete_user", "guest")
    for name, text in (("signing-key", secrets.token_hex(32)), ("flower", FLOWER_USER)):
        (folder / "secrets" / name).write_text(text + "\n")
        (folder / "secrets" / name).chmod(0o600)
    (folder / "logs").mkdir()
    return system
