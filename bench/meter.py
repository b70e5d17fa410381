"""Processor time and memory of groups of processes, and of the whole machine, from /proc."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

#: Seconds between two looks at the memory of every process.
SAMPLE_SECONDS = 0.5
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

#: Name of a group → id of the process at its root, or None while there is none.
Roots = Callable[[], Mapping[str, int | None]]


@dataclass(frozen=True)
class Usage:
    """What was used between the start and the end of a measurement.

    Attributes:
        cpu_seconds: user and system time of each group, ended processes included.
        peak_bytes: the largest resident memory that a single process of each group had.
        machine_cpu_seconds: time in which the machine's cores were busy, whoever kept them so.
    """

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    machine_cpu_seconds: float = 0.0

    @property
    def total_cpu_seconds(self) -> float:
        """Time of all groups together."""
        return sum(self.cpu_seconds.values())


class Meter:
    """Measures groups of processes while it is entered; each group is a process and its descendants."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._before: dict[str, float] = {}
        self._machine_before = 0.0
        self._peaks: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.usage = Usage()

    def __enter__(self) -> Self:
        """Start to measure; a group whose root starts later counts from its start."""
        self._before = self._cpu()
        self._machine_before = machine_cpu_seconds()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; `usage` holds the result."""
        after, machine = self._cpu(), machine_cpu_seconds() - self._machine_before
        self._ended.set()
        self._thread.join()
        used = {name: seconds - self._before.get(name, 0.0) for name, seconds in after.items()}
        self.usage = Usage(used, self._peaks, machine)

    def _cpu(self) -> dict[str, float]:
        return {name: tree_cpu_seconds(pid) for name, pid in self._roots().items() if pid is not None}

    def _sample(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(SAMPLE_SECONDS)
            for name, pid in self._roots().items():
                if pid is not None:
                    peaks = [peak_bytes(process.pid) for process in tree(pid)]
                    self._peaks[name] = max([self._peaks.get(name, 0), *peaks])


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, as far as they are there."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def tree_cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its descendants, and those that ended and were waited for."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent has its time now, or a neighbour in this sum
        total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_bytes(pid: int) -> int:
    """Return the largest resident memory a process ever had, 0 if it has gone (proc(5), VmHWM)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((int(words[1]) << 10 for words in lines), 0)


def machine_cpu_seconds() -> float:
    """Return the busy time of all cores since the machine started (proc(5), first line of /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (
        int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split()[1:11]
    )
    return (user + nice + system + irq + softirq) / _TICKS_PER_SECOND
