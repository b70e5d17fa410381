"""The outbox: alerts that wait to be sent, those that were, and what of the findings is in them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Json
from db.models import Base


class Alert(Base):
    """A message to one channel: kept until it is sent, however often that fails."""

    __tablename__ = "alerts"
    __table_args__ = (Index(None, "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Name of the channel: `webhook` or `mail`.
    channel: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    made_at: Mapped[datetime]
    #: When it is tried next.
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    sent_at: Mapped[datetime | None]
    #: Why the last attempt failed, in words without secrets.
    problem: Mapped[str | None]
