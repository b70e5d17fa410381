"""Secrets from files: what a variable names with `_FILE` at its end, as Docker and Kubernetes mount them."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ConfigurationError

#: What is appended to a variable's name.
SUFFIX = "_FILE"
#: Largest secret that is read, in bytes.
MOST_BYTES = 64 << 10
#: Permission bits that a file of secrets must not have: read, write or enter for others, write for the group.
OPEN_BITS = 0o027


def read_secrets(names: Iterable[str]) -> dict[str, str]:
    """Return the secrets of those variables whose file is named in the environment, by variable.

    Raises:
        ConfigurationError: both the variable and its file are set, or the file cannot be read, is open to
            others, or is no text.
    """
    found = {}
    for name in names:
        path = os.environ.get(name + SUFFIX)
        if not path:
            continue
        if os.environ.get(name):
            raise ConfigurationError(f"{name + SUFFIX}: {name} is set too; unset one of the two")
        found[name] = read_secret(name + SUFFIX, Path(path))
    return found


def read_secret(variable: str, path: Path) -> str:
    """Return the text of a file without its last newline; `variable` is what an error names.

    Raises:
        ConfigurationError: see `read_secrets`.
    """
    try:
        # The open descriptor is judged, so that the file cannot be exchanged between look and read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _judge(variable, path, os.fstat(file.fileno()))
            content = file.read(MOST_BYTES)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"{variable}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{variable}: {path} is not UTF-8 text") from error
    if not text:
        raise ConfigurationError(f"{variable}: {path} is empty")
    return text


def _judge(variable: str, path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{variable}: {path} is not a regular file")
    if found.st_mode & OPEN_BITS:
        raise ConfigurationError(
            f"{variable}: {path} has mode {stat.S_IMODE(found.st_mode):04o}, so others reach the secret: "
            f"chmod 0600 (0640 for a group) and chown it to the user of this process"
        )
    if found.st_size > MOST_BYTES:
        raise ConfigurationError(f"{variable}: {path} has {found.st_size} bytes, too many for a secret")


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner may read.

    Raises:
        ConfigurationError: it cannot be written, or is there already.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
