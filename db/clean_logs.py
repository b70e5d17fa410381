"""The view clean_logs as the migrations make it: the facts of a record, and what follows from them."""

from collections.abc import Mapping
from http import HTTPStatus

# What follows from a record, per dialect: the column's name, its expression.
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_IS_EMAIL = (
    "coalesce(user_name LIKE '%_@_%._%' AND user_name NOT LIKE '%@%@%' AND user_name NOT LIKE '% %', FALSE)"
)
_POSTGRESQL = {
    "year": "extract(year FROM timestamp AT TIME ZONE 'UTC')::int",
    "month": "extract(month FROM timestamp AT TIME ZONE 'UTC')::int",
    "day": "extract(day FROM timestamp AT TIME ZONE 'UTC')::int",
    "day_of_week": "to_char(timestamp AT TIME ZONE 'UTC', 'FMDay')",
    "time": "(timestamp AT TIME ZONE 'UTC')::time",
    "email_domain": f"CASE WHEN {_IS_EMAIL} THEN split_part(user_name, '@', 2) END",
}
_SQLITE = {
    "year": "CAST(strftime('%Y', timestamp) AS INTEGER)",
    "month": "CAST(strftime('%m', timestamp) AS INTEGER)",
    "day": "CAST(strftime('%d', timestamp) AS INTEGER)",
    "day_of_week": "CASE strftime('%w', timestamp) "
    + " ".join(f"WHEN '{number}' THEN '{name}'" for number, name in enumerate(_DAYS))
    + " END",
    "time": "time(timestamp)",
    "email_domain": f"CASE WHEN {_IS_EMAIL} THEN substr(user_name, instr(user_name, '@') + 1) END",
}
_URL = (
    "CASE WHEN coalesce(schema, host, path, query) IS NOT NULL OR port IS NOT NULL THEN "
    "coalesce(schema || '://', '') || coalesce(host, '') || coalesce(':' || CAST(port AS TEXT), '') "
    "|| coalesce(path, '') || coalesce('?' || query, '') END"
)
_STATUS = "CASE status " + " ".join(
    f"WHEN {status.value} THEN '{status.phrase.replace(chr(39), chr(39) * 2)}'" for status in HTTPStatus
)


def view(dialect: str, added: Mapping[str, str] | None = None) -> str:
    """Return the statement that makes the view; `added` are columns at its end: name and expression."""
    computed = _SQLITE if dialect == "sqlite" else _POSTGRESQL
    expressions = {
        "source_id": "source_id",
        "line_start": "line_start",
        "timestamp": "timestamp",
        **{name: computed[name] for name in ("year", "month", "day", "day_of_week", "time")},
        "utc_offset_minutes": "utc_offset_minutes",
        **{name: name for name in ("ip", "client_host", "country", "city", "session")},
        "user": "user_name",
        "is_email": _IS_EMAIL,
        "email_domain": computed["email_domain"],
        "rest_method": "rest_method",
        "url": _URL,
        **{name: name for name in ("schema", "host", "port", "path", "query", "rest_version", "status")},
        "status_verbose": f"{_STATUS} END",
        "size_bytes": "size_bytes",
        "size_kilo_bytes": "size_bytes / 1024.0",
        "size_mega_bytes": "size_bytes / 1048576.0",
        "referer": "referer",
        "user_agent": "user_agent",
        "format": "formats.name",
        "format_version": "formats.version",
        **(added or {}),
    }
    columns = ",\n    ".join(f'{expression} AS "{name}"' for name, expression in expressions.items())
    origin = "clean_records JOIN formats ON formats.id = format_id"
    return f"CREATE VIEW clean_logs AS SELECT\n    {columns}\nFROM {origin}"
