"""`migrate`: the schema of the database, brought up to date."""

import click

from db import schema
from pipeline.cli import options, output
from pipeline.folders import make_private


@click.command("migrate")
@options.common
def command(as_json: bool) -> None:
    """Bring the database schema up to date; safe to run twice, and by two at once."""
    settings = options.settings()
    make_private(settings.state_dir)
    schema.upgrade(settings.sqlalchemy_url)
    if as_json:
        output.emit_json({"schema": "up to date"})
    else:
        print("schema: up to date")
