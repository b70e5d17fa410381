"""The two sides of a comparison, on servers or embedded: reference and pipeline, on the same lines."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from bench import reference
from bench.deployment import Deployment
from bench.figures import Run
from bench.meter import Meter
from bench.rows import Rows
from bench.servers import Servers, database, scratch, servers
from pipeline import generate
from pipeline.cli import output
from pipeline.topology import Stage

_TABLES = ("raw_logs", "clean_records")
#: Size of a table, of its partitions where it has any, and of the indexes of all.
_POSTGRESQL_BYTES = (
    "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(CAST(:name AS regclass))"
)


@dataclass(frozen=True)
class Sample:
    """A generated log and its size in bytes."""

    path: Path
    lines: int
    size: int


def make_sample(folder: Path, lines: int) -> Sample:
    """Generate a log in the format `combined`, about 250 bytes a line."""
    path = folder / "sample.log"
    output.say(f"generating {lines} lines")
    return Sample(path, lines, generate.write_file(path, lines, seed=1))


class Side(Protocol):
    """Where both load to."""

    def reference(self, rows: Rows, sample: Sample) -> Run:
        """Load the rows with the database's own loader into fresh tables."""

    def pipeline(self, sample: Sample) -> Run:
        """Stream the log through the whole pipeline into fresh tables."""

    def deployed(self, *, pools: bool = True) -> AbstractContextManager[Deployment]:
        """Yield a deployment with empty tables, its pools ready where they are asked for."""

    def roots(self) -> Mapping[str, int | None]:
        """Return the root process of each server."""


class OnServers:
    """RabbitMQ and PostgreSQL."""

    def __init__(self, own: Servers, folder: Path) -> None:
        self._own = own
        self._folder = folder

    def reference(self, rows: Rows, sample: Sample) -> Run:
        r"""Load with `psql \copy`, both tables at once."""
        return reference.load_postgresql(self._own.postgres, rows, sample.lines)

    @contextmanager
    def deployed(self, *, pools: bool = True) -> Iterator[Deployment]:
        """Yield a deployment with an empty database."""
        with database(self._own.postgres, "pipeline") as url:
            folder = self._folder / "state"
            broker_url = self._own.rabbit.url
            with Deployment(folder, broker_url=broker_url, database_url=url, pools=pools) as deployment:
                yield deployment
            shutil.rmtree(folder)

    def roots(self) -> Mapping[str, int | None]:
        """Return the root process of each server."""
        return self._own.roots()

    def pipeline(self, sample: Sample) -> Run:
        """Stream through RabbitMQ into PostgreSQL."""
        with self.deployed() as deployment:
            return stream(deployment, sample, self.roots())


class Embedded:
    """No server: messages as files, and SQLite."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reference(self, rows: Rows, sample: Sample) -> Run:
        """Load with `sqlite3 .import`."""
        return reference.load_sqlite(rows, self._folder / "reference", sample.lines)

    @contextmanager
    def deployed(self, *, pools: bool = True) -> Iterator[Deployment]:
        """Yield a deployment with an empty database."""
        folder = self._folder / "state"
        with Deployment(folder, pools=pools) as deployment:
            yield deployment
        shutil.rmtree(folder)

    def roots(self) -> Mapping[str, int | None]:
        """Return nothing: there is no server."""
        return {}

    def pipeline(self, sample: Sample) -> Run:
        """Stream through the embedded broker into SQLite."""
        with self.deployed() as deployment:
            return stream(deployment, sample, {})


@contextmanager
def side(*, embedded: bool) -> Iterator[tuple[Side, Path]]:
    """Yield where to load to, servers started, and a scratch folder."""
    with scratch() as folder:
        if embedded:
            yield Embedded(folder), folder
            return
        with servers() as own:
            yield OnServers(own, folder), folder


def stream(
    deployment: Deployment,
    sample: Sample,
    servers: Mapping[str, int | None],
    seen: Callable[[int], None] = lambda _: None,
    *,
    watch: bool = True,
    stages: Collection[Stage] = tuple(Stage),
) -> Run:
    """Measure from the moment at which the log is there until the ledger of the stages covers it.

    What stores it runs already, as a service does, and has stored a line. `seen` gets the bytes that all
    stages have, at each look; without `watch` the log is queued already.
    """
    before = deployment.serve() if watch else 0
    with Meter(lambda: {**deployment.roots(), **servers}) as meter:
        started_at = time.monotonic()
        if watch:
            os.link(sample.path, deployment.inbox / sample.path.name)
        deployment.wait_stored(before + sample.size, seen, stages)
        seconds = time.monotonic() - started_at
    return Run(sample.lines, seconds, meter.usage, _table_bytes(deployment.engine))


def _table_bytes(engine: Engine) -> dict[str, int]:
    """Return the size of the tables of lines with their indexes; empty where SQLite cannot say it."""
    if engine.dialect.name == "postgresql":
        query = _POSTGRESQL_BYTES
    else:
        query = "SELECT sum(pgsize) FROM dbstat WHERE name = :name"
    try:
        with engine.connect() as connection:
            return {
                name: int(connection.execute(text(query), {"name": name}).scalar_one()) for name in _TABLES
            }
    except OperationalError:
        return {}
