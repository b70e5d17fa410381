"""One erasure as a person orders it: dead letters, tables, the file under them, backups, and the receipt."""

import os
import pwd
import secrets
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db import erasures
from db.erasure import TABLES, Erased, clear_space, erase, look
from db.erasure_claims import claim_batches
from db.erasure_search import Search
from db.erasures import Receipt
from db.removals import Kind
from db.removing import Reason
from db.sources import list_sources
from pipeline.blanking import Blanked, blank
from pipeline.cli.holding import backups_with
from pipeline.depths import queue_depths
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import Settings
from pipeline.topology import DATA_QUEUES, LIVE_QUEUES

#: Bytes of a key that is made for one receipt.
KEY_BYTES = 32
#: What of a receipt is kept in the database beside the counts.
KEPT = ("verified_empty", "left", "stuck", "backups", "waiting", "advice")


class Eraser:
    """One erasure: dead letters first, so that none is replayed meanwhile, then the database."""

    def __init__(self, settings: Settings, engine: Engine, search: Search, folder: Path | None) -> None:
        self._settings = settings
        self._engine = engine
        self._search = search
        self._folder = folder
        self._key = settings.privacy_key.get_secret_value().encode()

    def look(self) -> dict[str, Any]:
        """Return what would be erased."""
        letters = self._dead_letters(None)
        return self._described(look(self._engine, self._search), letters) | {"dry_run": True, "left": {}}

    def erase(self) -> dict[str, Any]:
        """Erase, and return the receipt."""
        waiting = queue_depths(self._settings)  # before anything is erased: the broker must answer
        receipt = self._begun()
        reason = Reason(Kind.ERASURE, receipt.requested_at, receipt.id)
        letters = self._dead_letters(reason)
        erased = erase(self._engine, self._search, receipt.id, receipt.requested_at)
        found = self._described(erased, letters)
        found["waiting"] = {queue.name: waiting[queue.name].messages for queue in DATA_QUEUES.values()}
        found["file_rewritten"] = self._rewritten()
        found["done"] = not (erased.left or found["stuck"] or found["file_rewritten"] is False)
        found["advice"] = list(_advice(found, self._settings, self._folder))
        shown = {
            name: found[name] for name in ("verified_empty", "left", "stuck", "backups", "waiting", "advice")
        }
        erasures.finish(self._engine, receipt.id, datetime.now(UTC), found["rows"], shown)
        key = {} if self._key else {"hash_key": self._receipt_key.hex()}
        return {
            **_of(receipt),
            **key,
            "finished_at": datetime.now(UTC).isoformat(),
            **found,
            "dry_run": False,
        }

    def _begun(self) -> Receipt:
        # Without a key of the installation only who holds the receipt can tell whom it is about.
        self._receipt_key = self._key or secrets.token_bytes(KEY_BYTES)
        who = self._search.subject
        now, digest = datetime.now(UTC), who.digest(self._receipt_key)
        receipt = Receipt(uuid.uuid4(), now, None, _user(), who.kind.value, digest, {}, {})
        erasures.begin(self._engine, receipt)
        return receipt

    def _dead_letters(self, reason: Reason | None) -> dict[str, Blanked]:
        forget = partial(claim_batches, self._engine, reason=reason) if reason else None
        names = [queue.name for queue in LIVE_QUEUES]
        return {name: blank(self._settings, name, self._search.subject, forget) for name in names}

    def _rewritten(self) -> bool | None:
        try:
            return clear_space(self._engine)
        except DatabaseUnavailable:
            return False

    def _described(self, erased: Erased, letters: Mapping[str, Blanked]) -> dict[str, Any]:
        sources = {row.id: row for row in list_sources(self._engine)}
        ranges = {sources[id_].key: found for id_, found in erased.ranges.items()}
        dead = {f"{name}.dead": each.messages for name, each in letters.items() if each.messages}
        return {
            "kind": self._search.subject.kind.value,
            "by_field": erased.by_field,
            "by_text": erased.by_text,
            "rows": dict(erased.rows) | dead,
            "dead_lines": sum(each.lines for each in letters.values()),
            "ranges": [
                {"source_id": id_, "path": sources[id_].path, "ranges": found}
                for id_, found in sorted(erased.ranges.items())
            ],
            "left": erased.left,
            "verified_empty": [table for table in TABLES if table not in erased.left],
            "stuck": [
                {"queue": one.queue, "id": one.id, "size_bytes": one.size_bytes, "why": one.why}
                for each in letters.values()
                for one in each.stuck
            ],
            "files": sorted({sources[id_].path for id_ in erased.ranges}),
            "backups": backups_with(self._folder, ranges) if self._folder else [],
        }


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container, whose user has no name
        return f"uid {os.getuid()}"


def _of(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": str(receipt.id),
        "requested_at": receipt.requested_at.isoformat(),
        "requested_by": receipt.requested_by,
        "subject_hash": receipt.subject_hash,
    }


def _advice(found: Mapping[str, Any], settings: Settings, folder: Path | None) -> Iterator[str]:
    """Yield what a person has to do, a sentence each."""
    for table, count in found["left"].items():
        yield f"{count} rows of {table} hold the value still: run it again once less is being stored"
    for one in found["stuck"]:
        yield f"a dead letter of {one['queue']} {one['why']}: `dead show --id {one['id']}`, then `dead purge`"
    for queue, count in found["waiting"].items():
        if count:
            yield f"{count} messages waited in {queue}: run it again once they are stored"
    for path in found["files"]:
        yield f"the file {path} and its rotated copies hold the lines still: they are not Sluice's to change"
    for backup in found["backups"]:
        yield f"the backup {backup['path']} {backup['why']}: make it anew and destroy it"
    if folder is None and found["ranges"]:
        yield "no folder of backups was named: --backups DIR names those that hold the lines"
    if found["file_rewritten"] is False:
        yield "the database file was in use and is not written anew: stop what uses it and run it again"
    if not settings.embedded_database:
        yield "deleted rows are in PostgreSQL's files until the owner runs VACUUM FULL, and in its archives"
