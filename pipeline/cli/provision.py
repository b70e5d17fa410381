"""`provision`: a user for each role with the least that it needs, for RabbitMQ and for PostgreSQL.

Passwords are made here and go into files of mode 0600, one a role, as URLs that `BROKER_URL_FILE` and
`DATABASE_URL_FILE` take; what goes to the servers holds their hashes. A second call keeps the passwords.
"""

import json
import secrets
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import click

from db import roles
from pipeline.cli import options, output
from pipeline.definitions import definitions, user_name
from pipeline.errors import ConfigurationError
from pipeline.folders import make_private
from pipeline.permissions import Role
from pipeline.secret_files import read_secret, write_secret
from pipeline.target import opened

#: Bytes of chance in a password.
PASSWORD_BYTES = 24

_SECRETS = click.option(
    "--secrets",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("secrets"),
    show_default=True,
    help="Folder of the files that hold one URL each, password included.",
)


@click.group("provision")
def command() -> None:
    """Write users, roles and permissions; see docs/security.md."""


@command.command("rabbitmq")
@click.option(
    "--url",
    required=True,
    metavar="URL",
    help="Where processes connect, without a user: amqps://broker:5671/sluice",
)
@click.option(
    "--output", "target", default="definitions.json", show_default=True, help="- is standard output."
)
@_SECRETS
@options.common
def _rabbitmq(url: str, target: str, folder: Path, as_json: bool) -> None:
    """Write a definitions file for `rabbitmqctl import_definitions`, and each role's URL."""
    parts = urlsplit(url)
    vhost = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("amqp", "amqps") or not vhost:
        raise ConfigurationError("--url: write amqps://HOST:5671/VHOST, the virtual host named")
    names = {role: user_name(role) for role in Role}
    passwords = {
        role: _password(folder / f"broker-url-{role.value}", url, name) for role, name in names.items()
    }
    with opened(target) as file:
        file.write(json.dumps(definitions(vhost, passwords), indent=2).encode() + b"\n")
    _tell(as_json, target, folder, list(names.values()))


@command.command("postgresql")
@click.option(
    "--url",
    metavar="URL",
    help="Where processes connect; the URL of DATABASE_URL where it is not given.",
)
@click.option("--prefix", default="sluice", show_default=True, help="Begins the names of the roles.")
@click.option("--apply", "at_once", is_flag=True, help="Run it on DATABASE_URL, as the tables' owner.")
@_SECRETS
@options.common
def _postgresql(url: str | None, prefix: str, at_once: bool, folder: Path, as_json: bool) -> None:
    """Print the statements that make PostgreSQL's roles, or run them; write each role's URL.

    They may run again, and must after a migration, which makes tables and views that nobody is granted yet.
    """
    settings = options.settings()
    if settings.embedded_database and not url:
        raise ConfigurationError("DATABASE_URL: name the PostgreSQL database, or give --url")
    if not prefix.isidentifier() or not prefix.islower():
        raise ConfigurationError("--prefix: use lower-case letters, digits and _")
    where = url or settings.sqlalchemy_url
    names = {role: roles.role_name(role, prefix) for role in roles.ROLES}
    passwords = {
        role: _password(folder / f"database-url-{role}", where, name) for role, name in names.items()
    }
    if at_once:
        roles.apply(settings.sqlalchemy_url, prefix, passwords)
    else:
        lines = roles.statements(unquote(urlsplit(where).path.removeprefix("/")), prefix, passwords)
        print("".join(f"{line};\n" for line in lines), end="")
    _tell(as_json, "the database" if at_once else "the statements", folder, list(names.values()))


def _password(path: Path, url: str, user: str) -> str:
    """Return the password in a role's file, made with the file where there is none yet."""
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


def _tell(as_json: bool, target: str, folder: Path, names: list[str]) -> None:
    if as_json:
        output.emit_json({"written": target, "secrets": str(folder), "users": names})
    else:
        output.say(f"{', '.join(names)}: permissions in {target}, a URL with its password each in {folder}")
