"""Counts of the clean records, so that a report reads thousands of rows and not millions.

    traffic_minutes   hits and bytes by minute, source, status, method and host
    traffic_days      hits and bytes by day, source and value of a path, an agent, an address, an error

Beat counts what the clean stage has stored, whole segments at a time, and notes in the ledger which it has
counted; what is not counted yet a report reads from the records (queries.py), so that its answer is exact at
any moment. Both tables hold changes, to be summed: who deletes or replaces the records of a counted segment
takes them away again in the same transaction, and nobody waits for anybody. Compacting adds up what has the
same key.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    Engine,
    FromClause,
    Index,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Moment
from db.engine import transaction
from db.ledger import CLEAN
from db.models import Base, CleanRecord, Segment
from db.summaries import prefer_summaries, summarise

#: Least status of an error.
FIRST_ERROR = 400
#: Segments that are counted in one transaction: a million lines or so.
COUNTED_AT_ONCE = 64
#: How far back from the newest day rows are added up.
COMPACTED = timedelta(days=2)
#: Key of the advisory lock under which segments are counted; any number that no one else uses.
COUNT_LOCK = 0x51_0C_1C_E2


class _Counts(Base):
    """What every count has: it is a change, and may be negative."""

    __abstract__ = True

    hits: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    source_id: Mapped[int]
    status: Mapped[int | None] = mapped_column(SmallInteger)


class TrafficMinute(_Counts):
    """Records of one minute (UTC); `host` is the virtual host or, without one, the host of the URL."""

    __tablename__ = "traffic_minutes"
    __table_args__ = (Index(None, "minute"),)

    minute: Mapped[datetime]
    rest_method: Mapped[str | None]
    host: Mapped[str | None]
    # The mapper needs a key to tell rows apart; the table has none.
    __mapper_args__ = {"primary_key": ["minute", "source_id"]}  # noqa: RUF012 - SQLAlchemy's attribute


class TrafficDay(_Counts):
    """Records of one day (UTC) with one value; `status` where the kind asks for it."""

    __tablename__ = "traffic_days"
    __table_args__ = (Index(None, "kind", "day"),)

    day: Mapped[date]
    kind: Mapped[str]
    value: Mapped[str]
    __mapper_args__ = {"primary_key": ["day", "kind", "value", "source_id"]}  # noqa: RUF012 - as above


Condition = ColumnElement[bool]


def within(source_id: int, start: int, end: int) -> Condition:
    """Return the condition of the clean records of a source that start in [start, end)."""
    place = (CleanRecord.line_start >= start) & (CleanRecord.line_start < end)
    return (CleanRecord.source_id == source_id) & place


def kinds(dialect: str) -> dict[str, tuple[Any, Any, Condition]]:
    """Return for each kind of traffic_days: value, status, and which records count."""
    none = cast(literal(None), SmallInteger)
    # As text of `inet` an address would carry the length of its network.
    address = func.host(CleanRecord.ip) if dialect == "postgresql" else CleanRecord.ip
    path, agent = CleanRecord.path, CleanRecord.user_agent
    return {
        "path": (path, none, path.is_not(None)),
        "agent": (agent, none, agent.is_not(None)),
        "address": (type_coerce(address, Text()), none, CleanRecord.ip.is_not(None)),
        "error": (path, CleanRecord.status, path.is_not(None) & (CleanRecord.status >= FIRST_ERROR)),
    }


def truncated(unit: str, column: Any, dialect: str) -> ColumnElement[Any]:
    """Return the minute or hour of a column as an expression."""
    if dialect == "postgresql":
        # date_bin counts on from the origin: half the time of date_trunc, which looks at time zones.
        origin = text("timestamptz '2000-01-01 00:00:00+00'")
        return type_coerce(func.date_bin(text(f"interval '1 {unit}'"), column, origin), Moment())
    length, rest = (16, ":00") if unit == "minute" else (13, ":00:00")
    return type_coerce(func.substr(column, 1, length).concat(rest), Moment())


def day_of(dialect: str) -> ColumnElement[Any]:
    """Return the UTC day of a record as an expression."""
    if dialect == "postgresql":
        return cast(func.timezone("UTC", CleanRecord.timestamp), Date)
    return type_coerce(func.substr(CleanRecord.timestamp, 1, 10), Date())


def size_sum(column: Any) -> ColumnElement[Any]:
    """Return the sum of sizes as a bigint, 0 for none: PostgreSQL makes numeric of it."""
    return func.coalesce(cast(func.sum(column), BigInteger), 0)


def take_away(connection: Connection, source_id: int, start: int, end: int) -> None:
    """Take the records of a range, which the caller is about to delete, out of the counts.

    The range is that of whole segments, which the caller has locked.
    """
    own = (Segment.source_id == source_id) & (Segment.stage == CLEAN)
    inside = own & (Segment.start_offset >= start) & (Segment.start_offset < end) & Segment.is_counted
    counted = connection.execute(select(Segment.start_offset, Segment.end_offset).where(inside)).all()
    if counted:
        _add(connection, or_(*(within(source_id, low, high) for low, high in counted)), sign=-1)
        connection.execute(update(Segment).where(inside).values(is_counted=False))


def _add(connection: Connection, condition: Condition, sign: int) -> None:
    """Add the counts of some records, or with the sign -1 take them away."""
    _add_minutes(connection, condition, sign)
    _add_days(connection, condition, sign)


def _add_minutes(connection: Connection, condition: Condition, sign: int) -> None:
    minute = truncated("minute", CleanRecord.timestamp, connection.dialect.name)
    host = func.coalesce(CleanRecord.server_name, CleanRecord.host)
    keys = (minute, CleanRecord.source_id, CleanRecord.status, CleanRecord.rest_method, host)
    query = select(*keys, sign * func.count(), sign * size_sum(CleanRecord.size_bytes)).where(condition)
    names = ["minute", "source_id", "status", "rest_method", "host", "hits", "bytes"]
    connection.execute(insert(TrafficMinute).from_select(names, query.group_by(*keys)))


def _add_days(connection: Connection, condition: Condition, sign: int) -> None:
    dialect = connection.dialect.name
    names = ["kind", "day", "source_id", "value", "status", "hits", "bytes"]
    for kind, (value, status, counts) in kinds(dialect).items():
        keys = (day_of(dialect), CleanRecord.source_id, value, status)
        sums = (sign * func.count(), sign * size_sum(CleanRecord.size_bytes))
        query = select(literal(kind), *keys, *sums).where(condition, counts)
        connection.execute(insert(TrafficDay).from_select(names, query.group_by(*keys)))


def count(engine: Engine) -> int:
    """Count what is not counted yet; return how many segments that were.

    Of two at once one finds nothing to do. Stopped in the middle, the next one goes on.

    Raises:
        DatabaseUnavailable: what was counted before stays so.
    """
    total = 0
    summarise(engine)
    while segments := _count_some(engine):
        total += segments
        summarise(engine)
    if total:
        _compact(engine)
    return total


def _count_some(engine: Engine) -> int:
    uncounted = select(Segment.id, Segment.source_id, Segment.start_offset, Segment.end_offset)
    uncounted = uncounted.where(~Segment.is_counted, Segment.stage == CLEAN).order_by(Segment.id)
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            if not connection.execute(select(func.pg_try_advisory_xact_lock(COUNT_LOCK))).scalar():
                return 0
            uncounted = uncounted.with_for_update(skip_locked=True)
        prefer_summaries(connection)
        segments = connection.execute(uncounted.limit(COUNTED_AT_ONCE)).all()
        if segments:
            _add(connection, or_(*(within(*place) for _, *place in segments)), sign=1)
            ids = [segment.id for segment in segments]
            connection.execute(update(Segment).where(Segment.id.in_(ids)).values(is_counted=True))
        return len(segments)


def _compact(engine: Engine) -> None:
    # The newest day still grows; what an old one got late stays as it is: it costs a row and no error.
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        newest = connection.execute(select(func.max(TrafficDay.day))).scalar()
        if newest is not None:
            first = newest - COMPACTED
            start = datetime(first.year, first.month, first.day, tzinfo=UTC)
            _add_up(connection, TrafficDay, (TrafficDay.day >= first) & (TrafficDay.day < newest))
            _add_up(connection, TrafficMinute, TrafficMinute.minute >= start)


def _add_up(connection: Connection, model: type[_Counts], condition: Condition) -> None:
    table = model.__table__
    names = [column.name for column in table.columns if column.name not in ("hits", "bytes")]

    def sums(rows: FromClause) -> Select[*tuple[Any, ...]]:
        keys = [rows.c[name] for name in names]
        hits, size = (func.sum(rows.c[name]) for name in ("hits", "bytes"))
        query = select(*keys, cast(hits, BigInteger).label("hits"), cast(size, BigInteger).label("bytes"))
        return query.group_by(*keys).having(hits != 0)

    add = insert(model)
    columns = [*names, "hits", "bytes"]
    if connection.dialect.name == "postgresql":
        # One statement: rows that others insert meanwhile are not seen, and stay.
        gone = delete(model).where(condition).returning(*table.columns).cte("gone")
        connection.execute(add.from_select(columns, sums(gone)))
        return
    added_up = Table(
        "compacted", MetaData(), *(Column(c, table.c[c].type) for c in columns), prefixes=["TEMPORARY"]
    )
    added_up.create(connection)
    connection.execute(insert(added_up).from_select(columns, sums(table).where(condition)))
    connection.execute(delete(model).where(condition))
    connection.execute(add.from_select(columns, select(added_up)))
    added_up.drop(connection)
