"""`status --watch` in a pseudo-terminal, and an emulator that shows what a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from pydantic import SecretStr

from db import schema
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines
from pipeline.settings import Settings
from tests.services import wait_until

#: A file name that would clear the screen, set the title and turn the colour of all that follows.
HOSTILE = "/var/log/\x1b[2J\x1b]0;owned\x07\x1b[31m.log"


class Terminal:
    """A pseudo-terminal of some columns and lines with a command in it."""

    def __init__(self, environment: dict[str, str], columns: int = 120, lines: int = 30) -> None:
        self._own, theirs = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.before = termios.tcgetattr(theirs)
        self._resize(theirs, columns, lines)
        command = [sys.executable, "-m", "pipeline", "status", "--watch"]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        self._theirs = theirs

    @staticmethod
    def _resize(descriptor: int, columns: int, lines: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self.screen.resize(lines, columns)
        self._resize(self._theirs, columns, lines)

    def text(self) -> str:
        """Return what is on the screen now."""
        while select.select([self._own], [], [], 0.05)[0]:
            content = os.read(self._own, 1 << 16)
            self.written += content
            self._stream.feed(content)
        return "\n".join(self.screen.display)

    def rows(self) -> list[str]:
        """Return the rows of the screen."""
        return self.text().splitlines()

    def shows(self, *words: str) -> None:
        """Return once all of some words are on the screen."""
        wait_until(
            lambda: all(word in self.text() for word in words), f"{words} on the screen", seen=self.text
        )

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._own, key)

    def end(self) -> tuple[int, list[object]]:
        """Return the exit code once the command ends, and how the terminal was left."""
        wait_until(
            lambda: self.text() is not None and self.process.poll() is not None, "the end", seen=self.text
        )
        return self.process.returncode, termios.tcgetattr(self._theirs)

    def close(self) -> None:
        """End the command if it has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)
        os.close(self._theirs)


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    """Return settings of a migrated database, and no broker but the embedded one."""
    schema.upgrade(sqlite_url)
    return Settings.from_environment(
        state_dir=tmp_path / "var", broker_url=SecretStr("embedded://"), database_url=SecretStr(sqlite_url)
    )


@pytest.fixture
def terminal(settings: Settings) -> Iterator[Terminal]:
    """Return a terminal with the live screen in it."""
    variables = {
        "SLUICE_STATE_DIR": str(settings.state_dir),
        "DATABASE_URL": settings.sqlalchemy_url,
        "BROKER_URL": "embedded://",
        "TERM": "xterm-256color",
        # Not the size of the window: a library has set them for another one, as readline does.
        "COLUMNS": "60",
        "LINES": "12",
    }
    terminal = Terminal({**os.environ, **variables})
    yield terminal
    terminal.close()


def store(settings: Settings, start: int, seed: int) -> int:
    """Store lines in both stages, and some that are rejected; return where they end."""
    engine = make_engine(settings.sqlalchemy_url)
    block = b"".join(generate_lines(300, seed=seed)) + b"no line \x1b[2J of a log\n"
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(Source("ab" * 16, "web-1", HOSTILE, format="combined"), start, block))
    engine.dispose()
    return start + len(block)


@pytest.mark.slow
def test_a_live_screen(terminal: Terminal, settings: Settings) -> None:
    """It shows what is stored while it runs, follows the window, obeys no file name, and ends with q."""
    terminal.shows("none yet", "q quits")

    end = store(settings, 0, 1)
    terminal.shows("elsewhere", "30 lines/s", "rejected")
    store(settings, end, 2)
    terminal.shows("2 lines, combined")
    first, *_, last = terminal.rows()
    assert first.startswith("Sluice")
    assert last.startswith("╰")
    terminal.shows("\\x1b[2J")
    assert b"owned\x07" not in terminal.written
    # Drawn over, not cleared and drawn: nothing flickers.
    assert terminal.written.count(b"\x1b[2J") <= 1

    terminal.resize(80, 20)
    bottom = "╰" + "─" * 78 + "╯"
    wait_until(lambda: terminal.rows()[-1].startswith(bottom), "80 columns", seen=terminal.text)
    terminal.press(b"x")
    terminal.press(b"q")
    code, left = terminal.end()
    assert (code, left) == (0, terminal.before)
    assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    """Ctrl-C is an end like q, and SIGTERM leaves no screen without a cursor either."""
    terminal.shows("none yet")

    terminal.process.send_signal(number)

    assert terminal.end() == (0, terminal.before)
    assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")


def test_without_a_terminal(settings: Settings) -> None:
    """Without a terminal the error says what to do; with --json likewise."""
    for words, *given in (("run it in one",), ("leave --json out", "--json")):
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", "status", "--watch", *given],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "SLUICE_STATE_DIR": str(settings.state_dir)},
        )  # fmt: skip
        assert ended.returncode != 0
        assert words in ended.stderr
