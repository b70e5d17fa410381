"""How far a run is: a bar for each step on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipeline.cli import output
from pipeline.topology import Stage

#: Time between two plain lines, in seconds.
LINE_SECONDS = 2.0


@dataclass(frozen=True)
class Reach:
    """How far a run has come.

    Attributes:
        total_bytes: what is in the files.
        confirmed_bytes: what the broker has confirmed.
        stored_bytes: what each stage has stored.
        lines: lines in the lake.
        open_bytes: of the confirmed bytes, those that each stage has not stored.
    """

    total_bytes: int = 0
    confirmed_bytes: int = 0
    stored_bytes: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))
    lines: int = 0
    open_bytes: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))

    @property
    def complete(self) -> bool:
        """True when both stages hold every confirmed byte."""
        return not any(self.open_bytes.values())


class Display(Protocol):
    """Shows how far a run is; a context manager."""

    def __enter__(self) -> Self:
        """Start to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display, so that other output may follow."""

    def show(self, reach: Reach) -> None:
        """Show the state of now; called several times a second."""


class BarDisplay:
    """Three bars on a terminal: read, lake, clean."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:>6}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._rows: dict[str, TaskID] = {
            name: self._bars.add_task(name, total=None, rate="") for name in ("read", *Stage)
        }
        self._rate = Rate()

    def __enter__(self) -> Self:
        """Draw the bars."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they are."""
        self._bars.stop()

    def show(self, reach: Reach) -> None:
        """Move the bars."""
        rate = f"{self._rate.of(reach.lines):,.0f} lines/s"
        self._move("read", reach, reach.confirmed_bytes)
        for stage, done in reach.stored_bytes.items():
            self._move(stage, reach, done, rate if stage is Stage.LAKE else "")

    def _move(self, name: str, reach: Reach, done: int, rate: str = "") -> None:
        self._bars.update(self._rows[name], total=reach.total_bytes, completed=done, rate=rate)


class LineDisplay:
    """A line on stderr every few seconds, for pipes and logs."""

    def __init__(self, every_seconds: float = LINE_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._rate = Rate()
        self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        """Start; nothing is shown yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; nothing is left open."""

    def show(self, reach: Reach) -> None:
        """Print a line, if the last is old enough."""
        if time.monotonic() - self._shown_at < self._every_seconds:
            return
        self._shown_at = time.monotonic()
        stages = ", ".join(f"{stage} {output.size(done)}" for stage, done in reach.stored_bytes.items())
        output.say(
            f"read {output.size(reach.confirmed_bytes)} of {output.size(reach.total_bytes)}, {stages}, "
            f"{reach.lines} lines, {self._rate.of(reach.lines):.0f} lines/s"
        )


class Rate:
    """Lines per second since the start of the display; what was stored before does not count."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def of(self, lines: int) -> float:
        """Return the mean rate up to now."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, lines)
        started_at, before = self._first
        return (lines - before) / max(now - started_at, 1e-3)


def display() -> Display:
    """Return what suits stderr: bars on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    on_terminal = sys.stderr.isatty() and console.is_terminal and not output.json_asked()
    return BarDisplay(console) if on_terminal else LineDisplay()
