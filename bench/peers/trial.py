"""One peer measured: its programs run, its rows waited for, and counted when it has ended."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from signal import SIGTERM

from bench.figures import Run
from bench.meter import Meter
from bench.nodes import ServiceMissing, stop_child, wait_until
from bench.peers import tables
from bench.peers.peer import Peer, Programs, Where
from bench.peers.tables import Stored
from bench.servers import Servers, database
from bench.sides import Sample

#: Seconds to start, without anything stored, for a peer in all, and to end.
START_SECONDS, STALLED_SECONDS, RUN_SECONDS, STOP_SECONDS = 60.0, 60.0, 600.0, 20.0
#: Seconds between two looks at the tables.
POLL_SECONDS = 0.05
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Entry:
    """What came of a peer: a run, unless it stored nothing, and what must be said about it."""

    peer: Peer
    run: Run | None
    remark: str = ""


@dataclass
class _Children:
    """Programs of a peer, the output of each in a file."""

    folder: Path
    variables: Mapping[str, str]
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str]) -> None:
        with self._log(name).open("wb") as log:
            self.started[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.variables, cwd=_ROOT
            )

    def text(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    def codes(self) -> dict[str, int]:
        """Return the exit codes of those that ended by themselves; their processor time stays readable."""
        # Not waited for: a process that was waited for has no times of its own any more.
        looks = {
            name: os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            for name, child in self.started.items()
        }
        return {name: look.si_status for name, look in looks.items() if look is not None}

    def roots(self) -> dict[str, int]:
        """Return the processes; asked for by the meter's thread while one more is started."""
        return {name: child.pid for name, child in list(self.started.items())}

    def last_words(self, codes: Mapping[str, int]) -> list[str]:
        """Return the last line that each program printed, with its exit code if it ended by itself."""
        return [
            name + (f" ended with {codes[name]}" if name in codes else "") + f": {' '.join(lines[-1:])}"
            for name in self.started
            if (lines := self.text(name).splitlines()) or codes.get(name)
        ]

    def stop(self) -> None:
        for child in reversed(self.started.values()):
            stop_child(child, SIGTERM, STOP_SECONDS)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def measure(peer: Peer, own: Servers, sample: Sample, folder: Path) -> Entry:
    """Run a peer on the head of the log; one that is not installed has an entry that says so.

    Raises:
        PipelineError: its programs were not ready in time.
    """
    head = _head(sample, folder / "head.log", peer.lines)
    with _own_folder(folder / "peer") as files, database(own.postgres, "peer") as url:
        where = Where(own.rabbit.url, url, head.path, files)
        try:
            programs = peer.programs(where)
        except ServiceMissing as missing:
            return Entry(peer, None, str(missing))
        tables.create(url)
        try:
            return _run(peer, programs, where, own, head)
        finally:
            tables.engine(url).dispose()


def _head(sample: Sample, path: Path, limit: int) -> Sample:
    with sample.path.open("rb") as whole, path.open("wb") as part:
        part.writelines(islice(whole, limit))
    return Sample(path, min(limit, sample.lines), path.stat().st_size)


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    path.mkdir()
    yield path
    shutil.rmtree(path)


def _run(peer: Peer, programs: Programs, where: Where, own: Servers, head: Sample) -> Entry:
    variables = {
        **os.environ,
        "PEER_BROKER_URL": where.broker_url,
        "PEER_DATABASE_URL": where.database_url,
    }
    children = _Children(where.folder, variables)
    with ExitStack() as stack:
        stack.callback(children.stop)
        for number, command in enumerate(programs.stores):
            children.start(f"store {number}", command)
        _wait_ready(peer, programs, children)
        with Meter(lambda: {**children.roots(), **own.roots()}) as meter:
            began = time.monotonic()
            children.start("send", programs.sends)
            seconds = _wait(where.database_url, head.lines, children) - began
        codes = children.codes()
    found = tables.stored(where.database_url)
    remarks = [difference(found, head)]
    if remarks[0] or any(codes.values()):
        remarks += children.last_words(codes)
    lines = min(found.raw, found.clean)
    run = Run(lines, seconds, meter.usage) if lines else None
    return Entry(peer, run, "; ".join(filter(None, remarks)))


def _wait_ready(peer: Peer, programs: Programs, children: _Children) -> None:
    def ready() -> bool:
        return bool(children.codes()) or all(
            programs.ready in children.text(name) for name in children.started
        )

    wait_until(ready, f"{peer.name} to be ready", START_SECONDS, logs=children.folder)


def _wait(url: str, lines: int, children: _Children) -> float:
    """Return the moment at which both tables held the lines, or at which the last of them came."""
    began = moved_at = time.monotonic()
    before = 0
    while True:
        ended = len(children.codes()) == len(children.started)
        found, now = tables.stored_lines(url, lines), time.monotonic()
        if found >= lines or ended:
            return now
        if found != before:
            before, moved_at = found, now
        if now - moved_at > STALLED_SECONDS or now - began > RUN_SECONDS:
            return moved_at
        time.sleep(POLL_SECONDS)


def difference(found: Stored, head: Sample) -> str:
    """Say how what both tables hold differs from the log; empty where it does not."""
    said = [
        f"{name} holds {rows:,} rows of {head.lines:,} lines"
        for name, rows in (("raw", found.raw), ("clean", found.clean))
        if rows != head.lines
    ]
    if not said and found.raw_bytes != head.size - head.lines:
        said = [f"raw holds {found.raw_bytes:,} bytes of {head.size - head.lines:,}"]
    return ", ".join(said)
