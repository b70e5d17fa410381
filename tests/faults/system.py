"""The system under fault: real watcher, pools and scheduler, started and restarted as `run` does it.

Without the mender of `run` and, unless asked for, without the scheduler: nothing repairs, so what is lost on
the way stays lost and shows.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import psutil
from pydantic import SecretStr

from db import schema
from db.engine import make_engine
from pipeline.cli import children
from pipeline.cli.children import BEAT, WATCHER
from pipeline.cli.supervisor import Recipe, Supervisor
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.faults.writer import Writer

ROOT = Path(__file__).parents[2]
LAKE, CLEAN = Stage.LAKE.value, Stage.CLEAN.value
#: Seconds between two looks at the children.
TICK_SECONDS = 0.05
#: Small batches, so that a few hundred lines make many deliveries; looks at the files several times a second.
SMALL = {"SLUICE_BATCH_COUNT": "50", "SLUICE_SWEEP_SECONDS": "0.3", "SLUICE_LOG_FORMAT": "combined"}


@dataclass(frozen=True)
class Place:
    """Where a system runs: its folder and its two services."""

    folder: Path
    broker_url: str
    database_url: str

    def variables(self) -> dict[str, str]:
        """Return the environment of the children."""
        return SMALL | {
            "BROKER_URL": self.broker_url,
            "DATABASE_URL": self.database_url,
            "SLUICE_STATE_DIR": str(self.folder / "var"),
            "SLUICE_AUDIT_SECONDS": "2",
        }


@dataclass
class Role:
    """How one child differs from what `run` starts.

    Attributes:
        variables: more of its environment.
        folder: where it starts, whose modules come before the product's.
        command: another program in its place.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    command: tuple[str, ...] = ()


class System:
    """Children under a supervisor that restarts each at once; a context that leaves none behind.

    A child named after a pool with something behind it, such as `lake-2`, is one more pool of that stage.
    """

    def __init__(self, place: Place, *, migrated: bool = True) -> None:
        self.place = place
        self._migrated = migrated
        self.logs = place.folder / "logs"
        self.logs.mkdir(parents=True)
        self.settings = Settings.from_environment(
            state_dir=place.folder / "var",
            broker_url=SecretStr(place.broker_url),
            database_url=SecretStr(place.database_url),
        )
        self.engine = make_engine(self.settings.sqlalchemy_url)
        self.healthy = True
        self._supervisor = Supervisor(self.settings.state_dir / "log")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="supervisor")
        self._serial = iter(range(1_000_000))

    def __enter__(self) -> Self:
        self.settings.state_dir.mkdir(exist_ok=True)
        if self._migrated:
            schema.upgrade(self.settings.sqlalchemy_url)
        self._supervisor.__enter__()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._ticker.join()
        self._supervisor.__exit__(None, None, None)
        self.engine.dispose()

    def start(self, name: str, role: Role | None = None) -> None:
        """Start a child, or start it anew in another role; without one, as `run` does."""
        with self._lock:
            self._supervisor.stop([name], 30)
            self._supervisor.start(self._recipe(name, role or Role()))

    def start_all(self) -> None:
        """Start both pools and the watcher."""
        for name in (LAKE, CLEAN, WATCHER):
            self.start(name)

    def stop(self, name: str) -> None:
        """Stop a child in order, for good."""
        with self._lock:
            self._supervisor.stop([name], 30)

    def pid(self, name: str) -> int | None:
        """Return the process id of a child; None while it waits for its restart."""
        return self._supervisor.children[name].pid

    def kill(self, name: str) -> bool:
        """Kill a child as `kill -9` does; return whether it ran."""
        with self._lock:
            pid = self.pid(name)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            return pid is not None

    def kill_pool_child(self, name: str) -> bool:
        """Kill the process of a pool that stores the batches; return whether there was one."""
        pid = self.pid(name)
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(pid).children() if pid else []:
                child.kill()
                return True
        return False

    def log(self, name: str) -> str:
        """Return what a child has said so far."""
        path = self.settings.state_dir / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def ended(self) -> list[str]:
        """Return the children that the supervisor has given up."""
        return [name for name, child in self._supervisor.children.items() if child.ended not in (None, 0)]

    def writer(self) -> Writer:
        """Return a writer on a new log, which the watcher follows."""
        run = f"r{next(self._serial)}"
        return Writer(self.logs / f"{run}.log", run)

    def _recipe(self, name: str, role: Role) -> Recipe:
        if name == WATCHER:
            plain = children.watcher([str(self.logs)], self.settings, once=False)
        elif name == BEAT:
            plain = children.beat(self.settings)
        else:
            stage = name.partition("-")[0]
            pool = children.pool(Stage(stage), self.settings)
            words = [word.replace(f"{stage}@", f"{name}@") for word in pool.command]
            plain = replace(pool, name=name, command=tuple(words))
        variables = {**self.place.variables(), **role.variables}
        assignments = [f"{key}={value}" for key, value in variables.items()]
        return replace(
            plain, command=("env", "-C", str(role.folder), *assignments, *(role.command or plain.command))
        )

    def _tick(self) -> None:
        while not self._closing.wait(TICK_SECONDS):
            with self._lock:
                self._supervisor.tick()
                for child in self._supervisor.children.values():
                    child.failures = 0  # killed by us, again and again: the next start need not wait longer


@contextlib.contextmanager
def running(place: Place) -> Iterator[System]:
    """Yield a system with both pools and the watcher."""
    with System(place) as system:
        system.start_all()
        yield system
