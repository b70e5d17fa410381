"""PostgreSQL's roles: who may do what with which table, as statements that may run again and again.

    owner        runs `migrate`; owns every table; the one that runs these statements
    lake         the lake pool: adds lines, segments and conflicts; reads lines to compare them
    clean        the clean pool: adds records and rejected lines, and notes in its segments how they were read
    beat         the watch over the queues: what it found last, and nothing else
    maintenance  the worker of the maintenance queue, and a person's commands that take away: audit, counts,
                 looks for drifts and threats, replay, retention, erasure, conflicts, restore of a part
    web          the page and its reports: reads records, counts, the ledger and rejected lines; not the lake
    reader       reports: the view of clean records, its formats and its sources; no line as it was written

No pool of a stage may update or delete a line. Months are prepared by a function of the owner's, so that the
worker that beat asks for it need not own a table. So are past months dropped, for who may delete their rows.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping

from sqlalchemy import make_url, text

from db.engine import make_engine, transaction
from db.partitions import DROP, HOLD, LANES, MONTHS_AHEAD, PARTITION_LOCK, PREPARE, SHARE, TABLES, share_lanes

#: The roles that processes and people log in with.
LAKE, CLEAN, BEAT, MAINTENANCE, READER, WEB = "lake", "clean", "beat", "maintenance", "reader", "web"
ROLES = (LAKE, CLEAN, BEAT, MAINTENANCE, READER, WEB)
#: Rounds of a password's hash: PostgreSQL's own number.
ITERATIONS = 4096

#: What each role may do with each table; nothing is granted on any other.
_CATALOGUE = {"sources": "SELECT, INSERT, UPDATE (path, format)", "formats": "SELECT, INSERT"}
_LEDGER = {
    "segments": "SELECT, INSERT",
    "removals": "SELECT",
    "conflicts": "SELECT, INSERT",
    "watches": "SELECT, INSERT, UPDATE",
}
#: The tables of the counts for reports.
COUNTS = (
    "traffic_minutes", "traffic_days", "traffic_latencies", "traffic_visitors", "traffic_latency_minutes",
    "traffic_visitor_minutes",
)  # fmt: skip
_DRIFTS = ("drift_states", "drift_events")
_REPORTED = ("clean_logs", "sources", "formats", "removals", "erasures", "findings", "silences")
_FINDINGS = ("detection_states", "findings", "silences", "alerts")
GRANTS: dict[str, dict[str, str]] = {
    LAKE: {
        **_CATALOGUE,
        **_LEDGER,
        "raw_logs": "SELECT, INSERT",
        "alembic_version": "SELECT",
    },
    CLEAN: {
        **_CATALOGUE,
        **_LEDGER,
        "segments": "SELECT, INSERT, UPDATE (format_id, record_count, rejected_count, tally)",
        "clean_records": "INSERT",
        "rejected_lines": "INSERT",
        "alembic_version": "SELECT",
    },
    BEAT: {"watches": "SELECT, INSERT, UPDATE"},
    MAINTENANCE: {
        "sources": "SELECT, INSERT, UPDATE",
        "formats": "SELECT, INSERT",
        # What was removed stays noted, and what is sealed stays so.
        **dict.fromkeys(("removals", "seals"), "SELECT, INSERT"),
        "erasures": "SELECT, INSERT, UPDATE (finished_at, counts, findings)",
        **dict.fromkeys(
            ("segments", "conflicts", "watches", *COUNTS, *_DRIFTS, *_FINDINGS, *TABLES),
            "SELECT, INSERT, UPDATE, DELETE",
        ),
        "clean_logs": "SELECT",
        "alembic_version": "SELECT",
    },
    WEB: {
        **dict.fromkeys(("sources", "formats", "segments", "removals", "watches", "findings"), "SELECT"),
        **dict.fromkeys(("clean_records", "rejected_lines", *COUNTS, "drift_events"), "SELECT"),
        # How many there are, not the bytes in them.
        "conflicts": "SELECT (id, resolved_at)",
        "alembic_version": "SELECT",
    },
    READER: dict.fromkeys((*_REPORTED, *COUNTS, *_DRIFTS, "alembic_version"), "SELECT"),
}


#: What db/partitions.py does, for who owns no table; its steps and names are the same.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE parent text; month date; name text; rest text; part regclass; grantee regrole;
BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    FOREACH parent IN ARRAY ARRAY[{tables}] LOOP
        rest := parent || '_default';
        FOR month IN EXECUTE format(
            'SELECT generate_series(date_trunc(''month'', now() AT TIME ZONE ''UTC''), '
            'date_trunc(''month'', now() AT TIME ZONE ''UTC'') + interval ''{months} months'', '
            'interval ''1 month'')::date UNION SELECT date_trunc(''month'', stored_on)::date FROM %I '
            'ORDER BY 1', rest) LOOP
            name := parent || to_char(month, '"_"YYYY"_"MM');
            CONTINUE WHEN to_regclass(name) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES) '
                'PARTITION BY LIST (lane)', name, parent);
            FOR lane IN 0..{last_lane} LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF %I %s', name || '_' || lane, name,
                    CASE WHEN lane < {last_lane} THEN format('FOR VALUES IN (%s)', lane) ELSE 'DEFAULT' END);
                EXECUTE format('ALTER TABLE %I ALTER COLUMN lane SET DEFAULT %s', name || '_' || lane, lane);
            END LOOP;
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %I WHERE stored_on >= %L AND stored_on < %L RETURNING *) '
                'INSERT INTO %I SELECT * FROM moved', rest, month, month + interval '1 month', name);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, name, month, (month + interval '1 month')::date);
            RETURN NEXT name;
        END LOOP;
{share}
    END LOOP;
END $$"""


#: The same for what retention does; a month that has not ended keeps its partition.
_HOLD = """
CREATE OR REPLACE FUNCTION {hold}(parent text, month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF parent = ANY (ARRAY[{tables}]) THEN
        EXECUTE format('LOCK TABLE %I IN EXCLUSIVE MODE', parent || to_char(month, '"_"YYYY"_"MM'));
    END IF;
END $$"""
_DROP = """
CREATE OR REPLACE FUNCTION {drop}(parent text, month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF parent = ANY (ARRAY[{tables}]) AND month + interval '1 month' < now() AT TIME ZONE 'UTC' THEN
        EXECUTE format('DROP TABLE %I', parent || to_char(month, '"_"YYYY"_"MM'));
    END IF;
END $$"""


def role_name(role: str, prefix: str) -> str:
    """Return the name of a role's login, such as sluice_lake."""
    return f"{prefix}_{role}"


def scram(password: str, salt: bytes | None = None) -> str:
    """Return PostgreSQL's SCRAM-SHA-256 verifier of a password: what the server keeps instead of it."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def statements(database: str, prefix: str, passwords: Mapping[str, str]) -> list[str]:
    """Return the statements that make the roles, or bring them back to what they should be.

    A role without a password here keeps the one that it has. They hold verifiers, never a password.
    """
    return [
        *_closed(database),
        *(line for role in ROLES for line in _role(database, role, prefix, passwords.get(role))),
        *map(share_lanes, TABLES),
        *_preparation(),
        f"GRANT EXECUTE ON FUNCTION {PREPARE}() TO {_quoted(role_name(MAINTENANCE, prefix))}",
        *_retention(prefix),
    ]


def apply(url: str, prefix: str, passwords: Mapping[str, str]) -> None:
    """Run the statements in one transaction, as the owner of the tables.

    Raises:
        ConfigurationError: this role may not make roles, or the schema is not there yet.
        DatabaseUnavailable: the database does not answer.
    """
    engine = make_engine(url, application_name="sluice provision")
    try:
        with transaction(engine) as connection:
            for statement in statements(str(make_url(url).database), prefix, passwords):
                connection.execute(text(statement.replace(":", r"\:")))
    finally:
        engine.dispose()


def _closed(database: str) -> Iterator[str]:
    # Before version 15 everybody may create tables in `public`; in every version everybody may connect.
    yield f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC"
    yield "REVOKE ALL ON SCHEMA public FROM PUBLIC"


def _role(database: str, role: str, prefix: str, password: str | None) -> Iterator[str]:
    name = _quoted(role_name(role, prefix))
    limits = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT"
    exists = f"EXISTS (SELECT FROM pg_roles WHERE rolname = '{role_name(role, prefix)}')"
    yield f"DO $$ BEGIN IF NOT {exists} THEN CREATE ROLE {name} LOGIN; END IF; END $$"
    if password is not None:
        yield f"ALTER ROLE {name} PASSWORD '{scram(password)}'"
    yield f"ALTER ROLE {name} {limits}"
    yield f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {name}"
    yield f"GRANT USAGE ON SCHEMA public TO {name}"
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {name}"
    for table, rights in GRANTS[role].items():
        yield f"GRANT {rights} ON {table} TO {name}"
    if role not in (BEAT, READER, WEB):
        yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _preparation() -> Iterator[str]:
    tables = ", ".join(f"'{table}'" for table in TABLES)
    figures = {"months": MONTHS_AHEAD, "last_lane": LANES - 1}
    yield _FUNCTION.format(name=PREPARE, lock=PARTITION_LOCK, tables=tables, share=SHARE, **figures)
    yield f"REVOKE ALL ON FUNCTION {PREPARE}() FROM PUBLIC"


def _retention(prefix: str) -> Iterator[str]:
    tables = ", ".join(f"'{table}'" for table in TABLES)
    yield _HOLD.format(hold=HOLD, tables=tables)
    yield _DROP.format(drop=DROP, tables=tables)
    for name in (HOLD, DROP):
        yield f"REVOKE ALL ON FUNCTION {name}(text, date) FROM PUBLIC"
        yield f"GRANT EXECUTE ON FUNCTION {name}(text, date) TO {_quoted(role_name(MAINTENANCE, prefix))}"
