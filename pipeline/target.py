"""Where bytes are written to: a file that appears only when it is whole, or standard output."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.errors import PipelineError

#: Stands for standard output.
STDOUT = "-"


@contextmanager
def opened(target: str) -> Iterator[IO[bytes]]:
    """Yield what to write to; on any error a file is as it was before.

    Raises:
        PipelineError: the file cannot be written.
    """
    if target == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _replacing(Path(target)) as file:
            yield file
    except OSError as error:
        raise PipelineError(f"{target}: {error.strerror}") from error


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file beside the target that takes its name when it is whole."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o666 & ~_umask())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
