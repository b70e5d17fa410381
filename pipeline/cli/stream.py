"""A file, what a compressed one holds, or stdin, as one stream of bytes."""

import io
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

from pipeline.archive import Archive, open_content
from pipeline.content import PlainFile, RefusedFile
from pipeline.errors import ConfigurationError
from pipeline.fingerprint import Content
from pipeline.formats import trial

#: Stands for standard input.
STDIN = "-"


class _Stream(io.RawIOBase):
    """A content read from its start as a stream; an archive that ends early raises ConfigurationError."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._content.read(len(buffer), self._position)
        buffer[: len(block)] = block
        self._position += len(block)
        if not block and isinstance(self._content, Archive) and self._content.damage:
            raise ConfigurationError(f"{self._content.place()}: {self._content.damage}")
        return len(block)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Yield the bytes of a file, of what a compressed one holds, or of stdin.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        if path == STDIN:
            yield _stdin()
            return
        with closing(open_content(path, PlainFile(path, follow_links=True))) as content:
            yield io.BufferedReader(_Stream(content), trial.BLOCK_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except RefusedFile as error:
        raise ConfigurationError(f"{path}: {error}; - reads from stdin") from error


def _stdin() -> IO[bytes]:
    if sys.stdin is None:  # python's way to say that it was closed
        raise ConfigurationError("stdin is closed: name a file")
    return sys.stdin.buffer
