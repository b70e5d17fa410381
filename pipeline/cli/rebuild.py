"""`rebuild`: a source's bytes from the lake."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from db.rebuild import rebuild
from pipeline.cli import options, output
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError, PipelineError

#: Stands for standard output.
STDOUT = "-"


@click.command("rebuild")
@click.argument("source", metavar="SOURCE")
@click.option("--output", "target", required=True, metavar="FILE", help="Where to write; - is stdout.")
@options.common
def command(source: str, target: str, as_json: bool) -> None:
    """Write the bytes of SOURCE from the lake to a file, identical to what was read.

    SOURCE is an id of `status`, or a path where that names one source. The file appears only when it is
    whole; where the lake has a gap there is an error, and no file.
    """
    if target == STDOUT and as_json:
        raise ConfigurationError("--json needs a file to write to: with --output - stdout holds the bytes")
    with open_database(options.settings()) as engine:
        row = find_source(engine, source)
        with _opened(target) as file:
            written = sum(file.write(piece) for piece in rebuild(engine, row.id))
    if as_json:
        output.emit_json({"source": row.id, "path": row.path, "output": target, "bytes": written})
    elif target != STDOUT:
        print(output.escape(f"{target}: {written} bytes of {row.path}"))


@contextmanager
def _opened(target: str) -> Iterator[IO[bytes]]:
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
