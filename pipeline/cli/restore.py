"""`restore`: a backup into an empty database, or a part of it into one that lives."""

from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from db import schema
from db.archive.backup import CHECKPOINT
from db.archive.container import Archive
from db.archive.merge import merge
from db.archive.restore import require_known, restore
from db.audit import audit
from pipeline.checkpoint import read_offsets
from pipeline.cli import options, output
from pipeline.cli.backup import restore_checkpoint
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import has_database, open_database
from pipeline.settings import Settings


@click.command("restore")
@click.argument("archive", type=click.Path(path_type=Path), metavar="ARCHIVE")
@click.option("--source", metavar="SOURCE", help="Only this source of the archive: an id, key or path.")
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="Only what was stored on this day (UTC), YYYY-MM-DD."
)
@click.option("--check", is_flag=True, help="Compare the archive with its checksums, and restore nothing.")
@options.common
def command(archive: Path, source: str | None, day: datetime | None, check: bool, as_json: bool) -> int:
    """Fill an empty database with the backup ARCHIVE, of PostgreSQL or SQLite, whichever wrote it.

    All or nothing, and proved by an audit; the checkpoint comes with it where SLUICE_STATE_DIR has none.
    A damaged archive is refused before anything is written. A database that holds something is left alone,
    unless --source or --day name a part: then the ledger lets in only what is missing, today's formats read
    it, and what contradicts is kept as a conflict.
    """
    settings = options.settings()
    with Archive(archive) as opened:
        opened.verify()
        require_known(opened)
        if check:
            return _tell({"archive": str(archive), "whole": True}, as_json=as_json)
        _prepare(settings)
        if source is not None or day is not None:
            return _part(settings, opened, source, day.date() if day else None, as_json=as_json)
        return _whole(settings, opened, as_json=as_json)


def _prepare(settings: Settings) -> None:
    """Make the tables where there are none; an older schema is a matter of `migrate`."""
    if not has_database(settings) or schema.version(settings.sqlalchemy_url) is None:
        schema.upgrade(settings.sqlalchemy_url)


def _whole(settings: Settings, archive: Archive, *, as_json: bool) -> int:
    with open_database(settings) as engine:
        rows = restore(engine, archive)
        with archive.stream(CHECKPOINT) as stream:
            with_checkpoint = restore_checkpoint(settings, stream.read())
        report = audit(engine, read_offsets(settings.state_dir))
    answer = {"rows": rows, "checkpoint": with_checkpoint, "complete": report.complete}
    answer |= {"missing_bytes": report.missing_bytes, "conflicts": report.conflicts}
    _tell(answer, as_json=as_json)
    return OK if report.complete else FAILED


def _part(
    settings: Settings, archive: Archive, source: str | None, day: date | None, *, as_json: bool
) -> int:
    with open_database(settings) as engine:
        merged = merge(engine, archive, source, day, settings.enrichment)
    _tell(asdict(merged), as_json=as_json)
    return FAILED if merged.conflict_bytes else OK


def _tell(answer: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        output.emit_json(answer)
    else:
        rows = answer.pop("rows", {}) | answer
        print(output.table(("restored", "count"), [(name, str(value)) for name, value in rows.items()]))
    return OK
