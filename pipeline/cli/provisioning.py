"""What each role gets for a server: its URL with a password of its own, in a file for it alone."""

import secrets
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pipeline.errors import ConfigurationError
from pipeline.folders import make_private
from pipeline.secret_files import read_secret, write_secret

#: Bytes of chance in a password.
PASSWORD_BYTES = 24


def password_of(path: Path, url: str, user: str) -> str:
    """Return the password in a role's file, made with the file where there is none yet.

    Raises:
        ConfigurationError: the file holds no such URL, or cannot be read or written.
    """
    if path.exists():
        password = urlsplit(read_secret(str(path), path)).password
        if password is None:
            raise ConfigurationError(f"{path}: holds no URL with a password; remove it to make a new one")
        return unquote(password)
    make_private(path.parent)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    write_secret(path, urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}")))
    return password


def make_secret(path: Path, text: str) -> None:
    """Write a secret where there is none yet.

    Raises:
        ConfigurationError: it cannot be written.
    """
    make_private(path.parent)
    if not path.exists():
        write_secret(path, text)
