"""Pools started on a broker and a database, what they stored and what they said."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import kombu
from sqlalchemy import text

from db.engine import make_engine, reading
from pipeline import dead, topology
from pipeline.batch import Batch, Source
from pipeline.depths import queue_depths
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.services import stop_child, wait_until

ROOT = Path(__file__).parents[2]
LINE = b'192.0.2.1 - ann [01/Mar/2023:00:00:09 +0000] "GET /canary HTTP/1.1" 200 12 "-" "curl/8"\n'
LAKE, CLEAN = Stage.LAKE.queue_name, Stage.CLEAN.queue_name


def make_batch(number: int = 0, lines: int = 10, key: str = "cd" * 16) -> Batch:
    """Return a batch of some lines, the `number`th of its source."""
    source = Source(key=key, host="web-1", path="/var/log/access.log", format="combined")
    return Batch(source, number * lines * len(LINE), LINE * lines)


def publish_envelope(settings: Settings, envelope: Any, queue: str) -> None:
    """Publish to one queue what stands where a batch should."""
    with connect(settings) as connection:
        topology.declare(connection)
        headers = {"task": topology.BATCH_TASK, "id": make_batch().id, "root_id": make_batch().id}
        kombu.Producer(connection.channel()).publish(
            ((envelope,), {}, {}),
            exchange="",
            routing_key=queue,
            serializer="msgpack",
            headers={**headers, "argsrepr": "<batch>", "kwargsrepr": "{}", "lang": "py"},
            correlation_id=make_batch().id,
        )


@dataclass
class System:
    """Settings, database and the pools started on them."""

    settings: Settings
    folder: Path
    pools: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *queues: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a worker on these queues; its output goes to a file of the folder."""
        environment = {
            **os.environ,
            "BROKER_URL": self.settings.broker_url.get_secret_value(),
            "DATABASE_URL": self.settings.database_url.get_secret_value(),
            "SLUICE_STATE_DIR": str(self.settings.state_dir),
        }
        name = f"{len(self.pools)}-{'-'.join(queues) or 'none'}"
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "1", "-l", "INFO"]
        command += ["-n", f"{name}@%h", "--without-mingle", *options]
        if queues:
            command += ["-Q", ",".join(queues)]
        with (self.folder / f"{name}.log").open("wb") as output:
            pool = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        self.pools.append(pool)
        return pool

    def start_both(self) -> None:
        """Start the two pools."""
        self.start(LAKE)
        self.start(CLEAN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self.pools:  # all at once: each takes seconds to end
            pool.terminate()
        for pool in self.pools:
            stop_child(pool, signal.SIGTERM)

    @property
    def logs(self) -> str:
        """Everything that the pools have said."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def publish(self, *batches: Batch) -> None:
        """Publish batches as the watcher does."""
        with Publisher(self.settings) as publisher:
            for batch in batches:
                publisher.publish(batch)

    def count(self, table: str) -> int:
        """Return the rows of a table."""
        engine = make_engine(self.settings.sqlalchemy_url)
        try:
            with reading(engine) as connection:
                return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
        finally:
            engine.dispose()

    def stored(self, key: str) -> tuple[int, int]:
        """Return the rows of a source in the lake and in clean."""
        of_it = f"WHERE source_id = (SELECT id FROM sources WHERE key = '{key}')"
        return self.count(f"raw_logs {of_it}"), self.count(f"clean_logs {of_it}")

    def wait_for_rows(self, count: int) -> None:
        """Wait until both stages hold this many lines."""
        for table in ("raw_logs", "clean_logs"):
            wait_until(
                lambda table=table: self.count(table) >= count,
                f"{count} rows in {table}",
                seen=lambda table=table: f"{self.count(table)} rows; {self.logs}",
            )

    def wait_for_dead(self, queue: str, count: int) -> list[dead.DeadLetter]:
        """Wait until a queue has this many dead letters, and return them."""
        wait_until(
            lambda: queue_depths(self.settings)[queue].dead >= count,
            f"{count} dead letters",
            seen=lambda: f"{queue_depths(self.settings)}; {self.logs}",
        )
        return dead.browse(self.settings, queue)
