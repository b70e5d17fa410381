"""The migrations make the tables of the models, once, whoever runs them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from db import schema
from db.engine import make_engine, reading, transaction
from db.models import Base
from pipeline.errors import ConfigurationError


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without a table, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'sluice.db'}"
    return str(request.getfixturevalue("empty_postgresql_url"))


def partition_names(connection: Connection) -> set[str]:
    """Return the tables that are parts of others."""
    if connection.dialect.name == "sqlite":
        return set()
    return set(connection.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars())


def test_migrations_make_the_models(engine: Engine) -> None:
    """Nothing differs between a migrated database and the models."""

    def concerns(item: Any, name: str | None, _kind: str, _reflected: bool, _other: Any) -> bool:
        return name not in partitions and item.info.get("dialect", engine.dialect.name) == engine.dialect.name

    options = {"compare_server_default": True, "include_object": concerns}
    with reading(engine) as connection:
        partitions = partition_names(connection)
        context = MigrationContext.configure(connection, opts=options)

        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_is_idempotent(empty_url: str) -> None:
    """An empty database is behind, an upgrade brings it up to date, and a second one changes nothing."""
    if empty_url.startswith("postgresql"):
        with pytest.raises(ConfigurationError, match="python -m pipeline migrate"):
            schema.check(empty_url)

    schema.upgrade(empty_url)
    schema.upgrade(empty_url)

    schema.check(empty_url)


def test_upgrades_at_once_wait_for_each_other(empty_url: str) -> None:
    """Four upgrades of one empty database at the same time all succeed."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(schema.upgrade, [empty_url] * 4))

    schema.check(empty_url)


def test_newer_schema_is_refused(database_url: str) -> None:
    """A database that a newer version has migrated is refused, not guessed at."""
    engine = make_engine(database_url)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(ConfigurationError, match="9999"):
        schema.check(database_url)


def test_downgrade_leaves_nothing(engine: Engine) -> None:
    """Taking the first migration back drops every table and the view."""
    with transaction(engine) as connection:
        command.downgrade(schema._config(connection), "base")

    with reading(engine) as connection:
        names = inspect(connection).get_table_names() + inspect(connection).get_view_names()
    assert names == ["alembic_version"]
