"""The pipeline under measurement: pools and watcher started by the command lines of `run`."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Engine, func, select

from bench.nodes import wait_until
from db import schema
from db.engine import make_engine, reading
from db.models import Segment
from pipeline import generate
from pipeline.checkpoint import read_status
from pipeline.cli import children
from pipeline.cli.supervisor import Supervisor
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.topology import Stage

#: Seconds between two looks at the ledger.
POLL_SECONDS = 0.05
#: Seconds that a pool may take to be ready, and that a run may go on without storing anything.
READY_SECONDS, STALLED_SECONDS = 60.0, 60.0
#: Seconds that publishing a whole log may take.
PUBLISH_SECONDS = 3600.0
#: What `run` is measured with unless the environment says otherwise.
DEFAULTS = {"SLUICE_LOG_FORMAT": "combined"}


class Deployment:
    """Pools that are ready, and a watcher on demand; a context with a state folder of its own."""

    def __init__(
        self, folder: Path, *, broker_url: str = "", database_url: str = "", pools: bool = True
    ) -> None:
        folder.mkdir(parents=True)
        named = {"BROKER_URL": broker_url, "DATABASE_URL": database_url, "SLUICE_STATE_DIR": str(folder)}
        kept = {name: os.environ.get(name, value) for name, value in DEFAULTS.items()}
        self._variables = {**kept, **named}
        self._stack = ExitStack()
        self._pools = pools
        self.folder = folder
        self.settings: Settings
        self.engine: Engine
        self.supervisor: Supervisor

    def __enter__(self) -> Self:
        """Make the tables and, where it is asked for, start both pools."""
        with ExitStack() as stack:
            stack.enter_context(environment(self._variables))
            self.settings = Settings.from_environment()
            schema.upgrade(self.settings.sqlalchemy_url)
            self.engine = make_engine(self.settings.sqlalchemy_url)
            stack.callback(self.engine.dispose)
            self.supervisor = stack.enter_context(Supervisor(self.logs))
            stack.callback(self._stop)
            if self._pools:
                self.start_pools()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watcher and pools in order."""
        self._stack.close()

    @property
    def inbox(self) -> Path:
        """Folder of the log files that `serve` watches."""
        return self.folder / "inbox"

    @property
    def logs(self) -> Path:
        """Folder of the logs of the children."""
        return self.folder / "log"

    def start_pools(self, stages: Collection[Stage] = tuple(Stage)) -> None:
        """Start the pools, both unless fewer are named, and wait until they consume.

        Raises:
            PipelineError: one ended, or was not ready in time.
        """
        for stage in stages:
            self.supervisor.start(children.pool(stage, self.settings))
        wait_until(
            lambda: all(map(self._ready, stages)), "the pools to be ready", READY_SECONDS, logs=self.logs
        )

    def watch(self, path: Path) -> None:
        """Start the watcher on a file or folder."""
        self.supervisor.start(children.watcher([str(path)], self.settings, once=False))

    def serve(self) -> int:
        """Start the watcher on `inbox`, and return the bytes of a first line when both stages have stored it.

        Raises:
            PipelineError: a child ended, or nothing was stored for a while.
        """
        self.inbox.mkdir()
        size = generate.write_file(self.inbox / "first.log", 1, seed=0)
        self.watch(self.inbox)
        self.wait_stored(size)
        return size

    def queue(self, path: Path, size: int) -> None:
        """Start the watcher on a file of so many bytes and return when the broker has confirmed them all.

        Raises:
            PipelineError: it took too long, or a child ended.
        """
        self.watch(path)
        wait_until(lambda: self._confirmed() >= size, f"{path} to be queued", PUBLISH_SECONDS, logs=self.logs)

    def stop_watcher(self) -> None:
        """Stop the watcher after the batch in hand."""
        self.supervisor.stop((children.WATCHER,), READY_SECONDS)

    def roots(self) -> Mapping[str, int | None]:
        """Return the root process of each group that runs."""
        return {name: child.pid for name, child in self.supervisor.children.items()}

    def stored_bytes(self) -> dict[Stage, int]:
        """Return how many bytes each stage has stored, from the ledger."""
        length = func.sum(Segment.end_offset - Segment.start_offset)
        with reading(self.engine) as connection:
            found = dict(connection.execute(select(Segment.stage, length).group_by(Segment.stage)).all())
        return {stage: int(found.get(stage.value, 0)) for stage in Stage}

    def wait_stored(
        self,
        size: int,
        seen: Callable[[int], None] = lambda _: None,
        stages: Collection[Stage] = tuple(Stage),
    ) -> None:
        """Return when the stages have stored so many bytes; `seen` gets what all of them have, at each look.

        Raises:
            PipelineError: a child ended, or nothing was stored for a while.
        """
        stored, moved_at = self._least(stages), time.monotonic()
        while stored < size:
            time.sleep(POLL_SECONDS)
            self._require_children()
            before, stored = stored, self._least(stages)
            seen(stored)
            if stored != before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > STALLED_SECONDS:
                raise PipelineError(f"nothing was stored for {STALLED_SECONDS:g} s (logs: {self.logs})")

    def _least(self, stages: Collection[Stage]) -> int:
        found = self.stored_bytes()
        return min(found[stage] for stage in stages)

    def _confirmed(self) -> int:
        self._require_children()
        return sum(status.offset for status in read_status(self.settings.state_dir))

    def _ready(self, stage: Stage) -> bool:
        self._require_children()
        path = self.logs / f"{stage}.log"
        return path.exists() and " ready." in path.read_text(errors="replace")

    def _require_children(self) -> None:
        for name, child in self.supervisor.children.items():
            if child.popen is not None and child.popen.poll() is not None:
                last = "\n".join(child.log.last)
                raise PipelineError(f"{name} ended in the middle of the measurement:\n{last}")

    def _stop(self) -> None:
        self.supervisor.stop((children.WATCHER,), READY_SECONDS)
        self.supervisor.stop(children.POOLS, READY_SECONDS)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, which its children inherit, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
