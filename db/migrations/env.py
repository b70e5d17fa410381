"""Alembic's entry: run the migrations on the connection that `db.schema` hands over."""  # noqa: INP001 - Alembic runs it by its path

from alembic import context

from db.models import Base

if context.is_offline_mode():
    raise SystemExit("use `python -m pipeline migrate`: a migration here needs a connection")

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
