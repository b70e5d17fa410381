"""The servers of a benchmark: RabbitMQ and PostgreSQL with the durability that they have by default."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from bench.nodes import ServiceMissing
from bench.postgres import PrivatePostgres
from bench.rabbit import PrivateRabbit
from pipeline.cli import output
from pipeline.errors import ConfigurationError, PipelineError

#: What a child's log has at most; a generated log has more.
LOG_BYTES = 1 << 20
#: Reference and pipeline load into the same server. Nothing is tuned but what a killed server would lose
#: (fsync is on, commits are synchronous: the defaults, said here because the tests turn them off).
DURABILITY = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@dataclass(frozen=True)
class Servers:
    """Both servers, started."""

    rabbit: PrivateRabbit
    postgres: PrivatePostgres

    def roots(self) -> Mapping[str, int | None]:
        """Return the root process of each server."""
        nodes = {"rabbitmq": self.rabbit, "postgresql": self.postgres}
        return {name: node.child.pid if node.child else None for name, node in nodes.items()}


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both, and end them exactly.

    Raises:
        ConfigurationError: one is not installed.
    """
    output.say("starting RabbitMQ and PostgreSQL of our own")
    try:
        with ExitStack() as stack:
            rabbit = stack.enter_context(PrivateRabbit())
            postgres = stack.enter_context(PrivatePostgres(None, **DURABILITY))
            yield Servers(rabbit, postgres)
    except ServiceMissing as missing:
        raise ConfigurationError(f"{missing}; `bench --embedded` needs no server") from missing


@contextmanager
def database(postgres: PrivatePostgres, name: str) -> Iterator[str]:
    """Make an empty database, yield its URL, and drop it; dirty pages are written out before."""
    execute(postgres.url, f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"', "CHECKPOINT")
    try:
        yield urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    finally:
        execute(postgres.url, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a temporary folder that the servers' user may enter, and remove it; logs stay after an error."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    except PipelineError:
        _keep_logs(folder)
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(folder: Path) -> None:
    """Remove what is not a child's log: lines, rows and databases are large."""
    for path in folder.rglob("*"):
        if path.is_file() and (path.suffix != ".log" or path.stat().st_size > LOG_BYTES):
            path.unlink()
    output.say(f"logs are kept in {folder}")
