"""`provision`: a user for each role with the least that it needs, for RabbitMQ and for PostgreSQL.

Passwords are made here and go into files of mode 0600, one a role, as URLs that `BROKER_URL_FILE` and
`DATABASE_URL_FILE` take; what goes to the servers holds their hashes. A second call keeps the passwords.
"""

import json
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from db import roles
from pipeline.cli import options, output
from pipeline.cli.provisioning import PASSWORD_BYTES, make_secret, password_of
from pipeline.connections import KEY_BYTES
from pipeline.definitions import definitions, user_name
from pipeline.errors import ConfigurationError
from pipeline.permissions import Role
from pipeline.target import opened

#: Where the containers of docker-compose.yml connect.
COMPOSE_BROKER, COMPOSE_DATABASE = "amqp://broker:5672/sluice", "postgresql://postgres:5432/sluice"

#: Begins the names of PostgreSQL's roles.
PREFIX = "sluice"
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
        role: password_of(folder / f"broker-url-{role.value}", url, name) for role, name in names.items()
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
@click.option("--prefix", default=PREFIX, show_default=True, help="Begins the names of the roles.")
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
        role: password_of(folder / f"database-url-{role}", where, name) for role, name in names.items()
    }
    if at_once:
        roles.apply(settings.sqlalchemy_url, prefix, passwords)
    else:
        lines = roles.statements(unquote(urlsplit(where).path.removeprefix("/")), prefix, passwords)
        print("".join(f"{line};\n" for line in lines), end="")
    _tell(as_json, "the database" if at_once else "the statements", folder, list(names.values()))


@command.command("compose")
@_SECRETS
@options.common
def _compose(folder: Path, as_json: bool) -> None:
    """Write every secret of docker-compose.yml: a URL for each role and server, keys, passwords of pages.

    What is there already stays. The database's roles are made with these passwords by the service `roles`.
    """
    users = {role: user_name(role) for role in Role}
    broker = {
        role: password_of(folder / f"broker-url-{role.value}", COMPOSE_BROKER, name)
        for role, name in users.items()
    }
    names = [roles.role_name(role, PREFIX) for role in roles.ROLES]
    for role, name in zip(roles.ROLES, names, strict=True):
        password_of(folder / f"database-url-{role}", COMPOSE_DATABASE, name)
    for key in ("signing-key", "seal-key"):
        make_secret(folder / key, secrets.token_hex(KEY_BYTES))
    for page in ("flower-auth", "web-auth"):
        make_secret(folder / page, f"viewer:{secrets.token_urlsafe(PASSWORD_BYTES)}")
    # For the server's own user to read: salted hashes of passwords that nobody can guess.
    with opened(str(folder / "definitions.json")) as file:
        vhost = unquote(urlsplit(COMPOSE_BROKER).path.removeprefix("/"))
        file.write(json.dumps(definitions(vhost, broker), indent=2).encode() + b"\n")
    _tell(as_json, "definitions.json", folder, [*users.values(), *names])


def _tell(as_json: bool, target: str, folder: Path, names: list[str]) -> None:
    if as_json:
        output.emit_json({"written": target, "secrets": str(folder), "users": names})
    else:
        output.say(f"{', '.join(names)}: permissions in {target}, a URL with its password each in {folder}")
