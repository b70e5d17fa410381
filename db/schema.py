"""The schema's version: bring a database up to date, or say that it is behind."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text

# Their tables are part of the schema.
from db import alerting, drifts, erasures, findings, minutes, removals, seals, silences, traffic  # noqa: F401
from db.engine import make_engine, reading, transaction
from db.partitions import prepare_within
from pipeline.errors import ConfigurationError

#: Key of the advisory lock under which PostgreSQL's migrations run; any number that no one else uses.
MIGRATION_LOCK = 0x51_0C_1C_E0


def upgrade(url: str) -> None:
    """Bring the schema to the newest version, in one transaction; of two at once, one waits for the other.

    Raises:
        ConfigurationError: an unusable URL, or a role that may not create the tables.
        DatabaseUnavailable: the database does not answer.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url, statement_seconds=0, application_name="sluice migrate")
    try:
        with transaction(engine) as connection:
            _hold_lock(connection)
            command.upgrade(_config(connection), "head")
            prepare_within(connection)
    finally:
        engine.dispose()


def _hold_lock(connection: Connection) -> None:
    # SQLite's transaction holds the one write lock already.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def check(url: str) -> None:
    """Return if the schema is what this version of Sluice needs.

    Raises:
        ConfigurationError: it is older, newer, or not there.
        DatabaseUnavailable: the database does not answer.
    """
    engine = make_engine(url, application_name="sluice check")
    try:
        with reading(engine) as connection:
            found = MigrationContext.configure(connection).get_current_heads()
            needed = tuple(ScriptDirectory.from_config(_config()).get_heads())
    finally:
        engine.dispose()
    if found != needed:
        raise ConfigurationError(
            f"the schema of the database has version {found or 'none'}, this Sluice needs {needed}: "
            "run `python -m pipeline migrate`"
        )


def version(url: str) -> str | None:
    """Return the version of a database's schema, None where it has none yet.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    engine = make_engine(url, application_name="sluice check")
    try:
        with reading(engine) as connection:
            return version_of(connection)
    finally:
        engine.dispose()


def version_of(connection: Connection) -> str | None:
    """Return the version of the schema behind a connection, None where it has none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def is_known(version: str) -> bool:
    """Tell whether this Sluice has a migration of this version; a newer one's it has not."""
    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return version in [script.revision for script in scripts]


def _config(connection: Connection | None = None) -> Config:
    attributes: dict[str, Any] = {"connection": connection}
    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
