"""`compliance`: what was removed in a period, by retention and by erasures, with their receipts."""

from dataclasses import asdict
from typing import Any

import click

from db.compliance import removed
from db.erasures import Receipt, receipts
from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import open_database

_TIME = "YYYY-MM-DD or an ISO time, UTC unless it names an offset."


@click.command("compliance")
@click.option("--since", metavar="TIME", help=f"Only from then on: {_TIME}")
@click.option("--until", metavar="TIME", help="Only before then.")
@options.common
def command(since: str | None, until: str | None, as_json: bool) -> int:
    """List what was removed on purpose: by age from each source and stage, and the receipts of erasures.

    No receipt holds whom it is about. It ends with code 1 if an erasure was begun and not finished.
    """
    period = options.moment("--since", since), options.moment("--until", until)
    with open_database(options.settings()) as engine:
        removals = [asdict(each) for each in removed(engine, *period)]
        found = [_described(each) for each in receipts(engine, *period)]
    if as_json:
        output.emit_json({"removals": removals, "erasures": found})
    else:
        heads = ("source_id", "path", "stage", "kind", "removals", "lines", "bytes", "first", "last")
        print(output.table(heads, [[each[head] for head in heads] for each in removals]))
        print()
        keys = ("id", "requested_at", "finished_at", "requested_by", "kind", "rows", "done")
        print(output.table(keys, [[each[key] for key in keys] for each in found]))
    return OK if all(each["finished_at"] for each in found) else FAILED


def _described(receipt: Receipt) -> dict[str, Any]:
    findings = dict(receipt.findings)
    return {
        "id": str(receipt.id),
        "requested_at": receipt.requested_at,
        "finished_at": receipt.finished_at,
        "requested_by": receipt.requested_by,
        "kind": receipt.kind,
        "subject_hash": receipt.subject_hash,
        "rows": sum(receipt.counts.values()),
        "counts": dict(receipt.counts),
        "done": bool(receipt.finished_at) and not (findings.get("left") or findings.get("stuck")),
        "findings": findings,
    }
