"""Each PostgreSQL role does its work, and the server refuses everything else."""

from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from db import alerting, overview, partitions, roles
from db.audit import audit
from db.detecting import Look
from db.engine import make_engine
from db.retention import expire
from db.roles import BEAT, CLEAN, LAKE, MAINTENANCE, READER, ROLES, WEB
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.detect.rules import load
from pipeline.errors import ConfigurationError
from pipeline.report.figures import Period, Selection
from tests.integration.provisioned import BATCH, LINE, PREFIX, SOURCE, as_role

#: Statements of somebody who has taken over a role.
OPERATIONS = {
    "read lake": "SELECT line FROM raw_logs",
    "read clean": "SELECT * FROM clean_logs",
    "read rejected": "SELECT line FROM rejected_lines",
    "read conflicts": "SELECT block FROM conflicts",
    "read ledger": "SELECT * FROM segments",
    "read sources": "SELECT * FROM sources",
    "read removals": "SELECT * FROM removals",
    "read seals": "SELECT * FROM seals",
    "add a seal": "INSERT INTO seals SELECT * FROM seals",
    "change a seal": "UPDATE seals SET signature = NULL",
    "break a seal": "DELETE FROM seals",
    "change a line": "UPDATE raw_logs SET line = 'forged'",
    "change a record": "UPDATE clean_records SET status = 500",
    "move a segment": "UPDATE segments SET end_offset = end_offset + 1",
    "note a format": "UPDATE segments SET rejected_count = 0",
    "change a source": "UPDATE sources SET key = 'x'",
    "delete lines": "DELETE FROM raw_logs",
    "delete records": "DELETE FROM clean_records",
    "delete segments": "DELETE FROM segments",
    "note a removal": "INSERT INTO removals SELECT * FROM removals",
    "read receipts": "SELECT * FROM erasures",
    "finish a receipt": "UPDATE erasures SET finished_at = now()",
    "change a receipt": "UPDATE erasures SET requested_by = 'x'",
    "forget receipts": "DELETE FROM erasures",
    "change a removal": "UPDATE removals SET line_count = 0",
    "forget removals": "DELETE FROM removals",
    "empty the lake": "TRUNCATE raw_logs",
    "empty the ledger": "TRUNCATE segments",
    "drop the lake": "DROP TABLE raw_logs",
    "drop the view": "DROP VIEW clean_logs",
    "alter the lake": "ALTER TABLE raw_logs ADD COLUMN x int",
    "disable triggers": "ALTER TABLE segments DISABLE TRIGGER ALL",
    "make a table": "CREATE TABLE mine (x int)",
    "make a temporary table": "CREATE TEMP TABLE mine (x int)",
    "make a function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "make a schema": "CREATE SCHEMA mine",
    "make a role": "CREATE ROLE mine",
    "become the owner": "SET ROLE postgres",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "read a program": "COPY raw_logs (line) FROM PROGRAM 'echo x'",
    "read a file": "SELECT pg_read_file('PG_VERSION')",
    "write a file": "COPY (SELECT 1) TO '/tmp/x'",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "read findings": "SELECT * FROM findings",
    "close findings": "UPDATE findings SET state = 'closed'",
    "delete findings": "DELETE FROM findings",
    "silence": "INSERT INTO silences VALUES (1, 'x', now(), now(), 'x')",
    "read alerts": "SELECT * FROM alerts",
    "prepare months": f"SELECT {partitions.PREPARE}()",
    "drop a month": f"SELECT {partitions.DROP}('segments', date '2000-01-01')",
    "hold a month": f"SELECT {partitions.HOLD}('segments', date '2000-01-01')",
}
#: What each role may; everything else is refused.
ALLOWED = {
    LAKE: {
        "read lake", "read conflicts", "read ledger", "read sources", "read removals",
    },
    CLEAN: {"read conflicts", "read ledger", "read sources", "read removals", "note a format"},
    MAINTENANCE: {
        "read lake", "read clean", "read rejected", "read conflicts", "read ledger", "read sources",
        "change a line", "change a record", "move a segment", "note a format", "change a source",
        "delete lines", "delete records", "delete segments", "read removals", "note a removal",
        "read findings", "close findings", "delete findings", "silence", "read alerts",
        "drop a month", "hold a month", "read seals", "add a seal",
        "read receipts", "finish a receipt", "prepare months",
    },
    BEAT: set(),
    READER: {"read clean", "read sources", "read removals", "read receipts", "read findings"},
    WEB: {"read rejected", "read ledger", "read sources", "read removals", "read findings"},
}  # fmt: skip


def may(url: str, statement: str) -> bool:
    """Tell whether the server lets this URL's role run a statement; nothing of it stays."""
    connection = psycopg2.connect(url)
    try:
        connection.cursor().execute(statement)
    except InsufficientPrivilege:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_its_work_and_nothing_else(provisioned: str, role: str) -> None:
    """Of these statements the server runs for each role exactly those of its row."""
    url = as_role(provisioned, role)

    assert ALLOWED[role] == {name for name, statement in OPERATIONS.items() if may(url, statement)}


def test_the_pools_store_with_their_own_roles(provisioned: str) -> None:
    """New lines, known ones, conflicts, a new source and a recognised format: each pool needs no more."""
    lake, clean = (make_engine(as_role(provisioned, role)) for role in (LAKE, CLEAN))
    later = Batch(SOURCE, BATCH.end, LINE * 2)
    moved = Batch(Source("cd" * 16, "web-2", "/var/log/b.log"), 0, LINE)
    renamed = Batch(Source("cd" * 16, "web-2", "/var/log/b.log.1"), moved.end, b"no request\n")
    other = Batch(SOURCE, 0, LINE * 2 + b"X" * (BATCH.end - 2 * len(LINE) - 1) + b"\n")
    part = Batch(SOURCE, len(LINE), LINE * 2)
    for batch in (later, later, moved, renamed, other, part):
        for store in (LakeStore(lake), CleanStore(clean)):
            store.store(batch)

    mender = make_engine(as_role(provisioned, MAINTENANCE))
    found = audit(mender, {SOURCE.key: later.end, moved.source.key: renamed.end})

    assert found.missing_bytes == found.missing_lines == found.duplicate_lines == 0
    assert found.conflicts == 2
    for engine in (lake, clean, mender):
        engine.dispose()


def test_maintenance_looks_and_tells_with_its_own_role(provisioned: str) -> None:
    """What beat asks of it: the looks, findings that last, and alerts from the outbox; it needs no more."""
    owner, mender = make_engine(provisioned), make_engine(as_role(provisioned, MAINTENANCE))
    attack = LINE.replace(b"GET /a ", b"GET /.env ")
    CleanStore(owner).store(Batch(SOURCE, BATCH.end, attack))
    CleanStore(owner).store(Batch(SOURCE, BATCH.end + len(attack), attack))
    now = datetime.now(UTC)

    assert [each.rule for each in Look(mender, load()).look(60)] == ["sensitive-file"]
    assert alerting.collect(mender, ["mail"], "web-1", now) == 1
    (due,) = alerting.take_due(mender, ["mail"], now)
    alerting.settle(mender, due, None, now)

    for engine in (owner, mender):
        engine.dispose()


def test_the_lake_pool_removes_nothing(provisioned: str) -> None:
    """Its role may not delete: retention there changes nothing and says so."""
    lake = make_engine(as_role(provisioned, LAKE))
    later = datetime.now(UTC) + timedelta(days=60)

    with pytest.raises(ConfigurationError, match="permission denied"):
        expire(lake, lambda _, table: 30 if table == "lake" else None, now=later)

    mender = make_engine(as_role(provisioned, MAINTENANCE))
    assert audit(mender, {SOURCE.key: BATCH.end}).complete
    for engine in (lake, mender):
        engine.dispose()


def test_a_role_without_the_function_is_told(provisioned: str) -> None:
    """Who may neither make partitions nor call the function gets an error that names the permission."""
    clean = make_engine(as_role(provisioned, CLEAN))

    with pytest.raises(ConfigurationError, match="permission denied"):
        partitions.prepare(clean)
    clean.dispose()


def test_statements_hold_no_password() -> None:
    """The server gets SCRAM verifiers, salted anew each time."""
    passwords = {role: f"canary-{role}" for role in ROLES}
    first, second = (" ".join(roles.statements("logs", PREFIX, passwords)) for _ in range(2))

    assert "canary" not in first
    assert first.count("SCRAM-SHA-256$4096:") == len(ROLES)
    assert first != second


def test_scram_is_what_the_server_makes(postgresql_server: str) -> None:
    """With the server's salt the verifier is the server's, to the last byte."""
    import base64  # noqa: PLC0415

    connection = psycopg2.connect(postgresql_server)
    cursor = connection.cursor()
    cursor.execute("SET password_encryption = 'scram-sha-256'")
    cursor.execute(f"CREATE ROLE {PREFIX}_s PASSWORD 'pé'")
    cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (f"{PREFIX}_s",))
    kept = cursor.fetchone()[0]
    connection.close()  # and so rolled back

    assert kept == roles.scram("pé", base64.b64decode(kept.split("$")[1].split(":")[1]))


@pytest.mark.parametrize("role", [WEB, MAINTENANCE])
def test_page_and_reports_read_what_they_show(provisioned: str, role: str) -> None:
    """Every part answers to the role of the page, and to that of who writes the report of each day."""
    engine = make_engine(as_role(provisioned, role), readers=2)
    day = datetime(2023, 3, 1, tzinfo=UTC)
    parts = overview.parts(engine, dict)
    periods = (timedelta(hours=1), timedelta(days=1), timedelta(days=20))
    found = [
        {part: ask(Selection(Period(day, day + length))).rows for part, ask in parts.items()}
        for length in periods
    ]

    assert all(rows["paths"] == [("/a", 3, 36)] and len(rows["rejected"]) == 1 for rows in found)
    engine.dispose()
