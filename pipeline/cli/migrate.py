"""`migrate`: the schema of the database, brought up to date."""

import click

from db import schema
from pipeline.cli import options, output


@click.command("migrate")
@options.common
def command(as_json: bool) -> None:
    """Bring the database schema up to date; safe to run twice, and by two at once."""
    settings = options.settings()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    schema.upgrade(settings.sqlalchemy_url)
    if as_json:
        output.emit_json({"schema": "up to date"})
    else:
        print("schema: up to date")
