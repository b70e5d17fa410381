"""Column types whose Python value is the same on PostgreSQL and on SQLite."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Device and inode numbers are unsigned 64-bit, SQL's largest integer is signed: the upper half is folded.
_SIGN = 1 << 63


class Unsigned(TypeDecorator[int]):
    """An unsigned 64-bit number, stored as the signed one with the same bits."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the signed number."""
        return value if value is None or value < _SIGN else value - 2 * _SIGN

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the unsigned number."""
        return value if value is None or value >= 0 else value + 2 * _SIGN


class Moment(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime; SQLite keeps it as text `YYYY-MM-DD HH:MM:SS[.ffffff]`, which sorts."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return `timestamptz` or text."""
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Return what the driver takes."""
        return moment_text(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the datetime in UTC."""
        if isinstance(value, str):
            return text_moment(value)
        return value.astimezone(UTC) if isinstance(value, datetime) else None


def text_moment(text: str) -> datetime:
    """Return the moment that SQLite's text says."""
    return datetime.fromisoformat(text + "+00:00")  # in UTC itself, and half the time of replacing it


def moment_text(value: datetime) -> str:
    """Return SQLite's text of an aware datetime."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def json_text(value: Any) -> str:
    """Return the JSON text of a value that is `storable` (pipeline/formats/fields.py)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


#: `jsonb` on PostgreSQL, text on SQLite.
Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
#: `inet` on PostgreSQL, text on SQLite.
Address = Text().with_variant(postgresql.INET(), "postgresql")
