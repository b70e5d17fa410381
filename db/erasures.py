"""Receipts of erasures: that one subject was erased, when, by whom and how much, without its value."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Json
from db.engine import reading, transaction
from db.models import Base

#: Rows that are in memory at once.
ROWS_AT_ONCE = 500


class Erasure(Base):
    """One erasure; what it removed are the rows of `removals` with its id."""

    __tablename__ = "erasures"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    requested_at: Mapped[datetime]
    #: NULL while it runs, and of one that was stopped.
    finished_at: Mapped[datetime | None]
    #: Name of the operating system's user.
    requested_by: Mapped[str]
    #: What the value is of its subject: user, ip, session, email or text.
    kind: Mapped[str]
    #: Keyed hash of kind and value; see `pipeline.subject.Subject.digest`.
    subject_hash: Mapped[str]
    #: Rows that were deleted or changed, by table, and messages by queue.
    counts: Mapped[dict[str, Any]] = mapped_column(Json)
    #: What a person has to do, and what was looked at; see docs/security.md.
    findings: Mapped[dict[str, Any]] = mapped_column(Json)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as people read it."""

    id: uuid.UUID
    requested_at: datetime
    finished_at: datetime | None
    requested_by: str
    kind: str
    subject_hash: str
    counts: Mapping[str, Any]
    findings: Mapping[str, Any]


def begin(engine: Engine, receipt: Receipt) -> None:
    """Store a receipt before anything is erased, so that one that is stopped is known too.

    Raises:
        DatabaseUnavailable: nothing is stored.
    """
    with transaction(engine) as connection:
        values = {name: getattr(receipt, name) for name in Receipt.__slots__}
        connection.execute(insert(Erasure), values)


def finish(
    engine: Engine,
    receipt_id: uuid.UUID,
    at: datetime,
    counts: Mapping[str, Any],
    findings: Mapping[str, Any],
) -> None:
    """Note what became of an erasure.

    Raises:
        DatabaseUnavailable: the receipt stays unfinished.
    """
    with transaction(engine) as connection:
        own = update(Erasure).where(Erasure.id == receipt_id)
        values = {"finished_at": at, "counts": dict(counts), "findings": dict(findings)}
        connection.execute(own.values(values))


def receipts(
    engine: Engine, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Receipt]:
    """Yield the receipts of [since, until), the oldest first.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        yield from _receipts(connection, since, until)


def _receipts(connection: Connection, since: datetime | None, until: datetime | None) -> Iterator[Receipt]:
    query = select(*(Erasure.__table__.c[name] for name in Receipt.__slots__))
    if since is not None:
        query = query.where(Erasure.requested_at >= since)
    if until is not None:
        query = query.where(Erasure.requested_at < until)
    query = query.order_by(Erasure.requested_at, Erasure.id)
    for row in connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
        yield Receipt(*row)
