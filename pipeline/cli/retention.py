"""`retention`: rows that are older than SLUICE_RETENTION says are removed."""

from dataclasses import asdict

import click

from db.expiry import Expiry
from db.retention import expire
from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import open_database
from pipeline.errors import ConfigurationError
from pipeline.retention import Kept


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Remove nothing; show what would go.")
@options.common
def command(dry_run: bool, as_json: bool) -> int:
    """Remove rows that are older than SLUICE_RETENTION says, and show what went.

    Age is counted from the time of storing. Nothing goes before the audit of its range has passed: both
    stages have stored it, the rows are those of the ledger, no conflict is open, and reports have counted the
    records. What stays for that is named, with exit code 1. On PostgreSQL whole months go with their
    partitions. The ledger stays: `audit` tells what was removed, and nothing brings it back. Findings that
    last stay.
    """
    settings = options.settings()
    kept = settings.retention_rules
    if not kept:
        raise ConfigurationError("SLUICE_RETENTION: not set, so everything is kept; say lake=90 for 90 days")
    with open_database(settings) as engine:
        report = expire(engine, lambda path, table: kept.days(path, Kept(table)), dry_run=dry_run)
        in_file = engine.dialect.name == "sqlite"
    if as_json:
        output.emit_json({"dry_run": dry_run, "lines": report.lines, **asdict(report)})
    else:
        _show(report, dry_run=dry_run, in_file=in_file)
    return FAILED if report.held or not report.is_finished else OK


def _show(report: Expiry, *, dry_run: bool, in_file: bool) -> None:
    heads = ("id", "path", "stage", "segments", "lines", "bytes")
    print(output.table(heads, [tuple(asdict(gone).values()) for gone in report.gone]))
    print()
    if report.partitions:
        print(f"partitions: {', '.join(report.partitions)}")
    for held in report.held:
        where = f"source {held.source_id}, {held.stage}: bytes [{held.start}, {held.end}) stay: {held.reason}"
        print(output.escape(where))
    if not report.is_finished:
        print("a month stays for now, because somebody reads from it: run this again later")
    noticed = f"{report.findings} closed findings, {report.drifts} drifts"
    print(f"{'would remove' if dry_run else 'removed'}: {report.lines} lines, {noticed}")
    if in_file and report.lines and not dry_run:
        print("the file keeps its size: new rows take the place; `VACUUM` in sqlite3 makes it smaller")
