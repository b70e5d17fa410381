"""`status --watch`: the loop of the live screen, its keys and its end."""

import contextlib
import logging
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console, ConsoleDimensions
from rich.live import Live

from pipeline.cli import reader
from pipeline.cli.interruption import SIGNALS
from pipeline.cli.screen import draw
from pipeline.cli.watching import Gatherer
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

#: Seconds between two drawings, and between two looks at keys and the size of the window.
DRAW_SECONDS, LOOK_SECONDS = 1.0, 0.1
#: Columns and lines of a terminal that does not know its own.
UNKNOWN_SIZE = (80, 24)
#: Keys that end it; Ctrl-C is a signal.
QUIT = frozenset(b"qQ")


def watch(settings: Settings) -> None:
    """Show the state of everything until q or Ctrl-C.

    Raises:
        ConfigurationError: stdin or stdout is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(
            "--watch draws on a terminal and reads its keys: run it in one, or without --watch"
        )
    # What a library logs would be written over the screen; what matters is among the answers.
    logging.getLogger().addHandler(logging.NullHandler())
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    with (
        contextlib.suppress(KeyboardInterrupt),
        reader.parts(settings, "sluice status") as parts,
        _keys() as pressed,
        Gatherer(parts) as gatherer,
    ):
        _show(gatherer, pressed)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(gatherer: Gatherer, pressed: Callable[[], bytes]) -> None:
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        drawn: object = None
        drawn_at = 0.0
        while not QUIT.intersection(pressed()):
            gatherer.check()
            console.size = _size(console)
            seen, now = (console.size, gatherer.scene.at), time.monotonic()
            if seen != drawn or now >= drawn_at + DRAW_SECONDS:
                live.update(
                    draw(gatherer.scene, datetime.now(UTC), console.width, console.height), refresh=True
                )
                drawn, drawn_at = seen, now


def _size(console: Console) -> ConsoleDimensions:
    """Return the size of the window; LINES and COLUMNS, which libraries set too, would not follow it."""
    columns, lines = os.get_terminal_size(console.file.fileno())
    return ConsoleDimensions(columns or UNKNOWN_SIZE[0], lines or UNKNOWN_SIZE[1])


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], bytes]]:
    """Yield a function that returns the keys pressed within LOOK_SECONDS; they are not echoed meanwhile."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def pressed() -> bytes:
        ready, _, _ = select.select([descriptor], [], [], LOOK_SECONDS)
        return os.read(descriptor, 64) if ready else b""

    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
