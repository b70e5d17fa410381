"""The measures of clean records as conditions in SQL: counted in windows, and looked up for examples."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from db.models import CleanRecord, Format
from db.traffic import Condition
from pipeline.drift.detector import FORMAT
from pipeline.formats.base import COLUMNS

#: Columns that every record has, or that do not come from the line alone.
_NOT_FIELDS = {
    "timestamp", "utc_offset_minutes", "country", "city", "asn", "ip_scope", "browser", "os", "device",
    "is_bot", "continues", "inferred", "failed_fields", "extra",
}  # fmt: skip
_METHODS = ("GET", "POST", "HEAD")
#: Bounds of the classes of sizes, in bytes.
_SIZES = (1, 1_000, 10_000, 100_000, 1_000_000)
#: Name of the share of lines that are no records.
REJECTED = "rejected: lines"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure: which records have it, and of which; None is of all."""

    condition: Condition
    among: Condition | None = None


def _measured() -> Iterator[tuple[str, Measured]]:
    yield "rejected: in part", Measured(CleanRecord.failed_fields.is_not(None))
    for name in COLUMNS:
        if name not in _NOT_FIELDS:
            yield f"fields: {name}", Measured(getattr(CleanRecord, name).is_not(None))
    status, method, size = CleanRecord.status, CleanRecord.rest_method, CleanRecord.size_bytes
    for hundreds in range(1, 6):
        within = status.between(100 * hundreds, 100 * hundreds + 99)
        yield f"status: {hundreds}xx", Measured(within, status.is_not(None))
    for name in _METHODS:
        yield f"method: {name}", Measured(method == name, method.is_not(None))
    yield "method: other", Measured(method.not_in(_METHODS), method.is_not(None))
    for low, high in zip((0, *_SIZES), _SIZES, strict=False):
        yield f"size: {low} to {high - 1} bytes", Measured((size >= low) & (size < high), size.is_not(None))
    yield f"size: from {_SIZES[-1]} bytes", Measured(size >= _SIZES[-1], size.is_not(None))


MEASURED = dict(_measured())


def condition_of(name: str, *, rose: bool) -> Condition | None:
    """Return which records are examples of a measure that rose or fell, None where any line is one."""
    if name.startswith(FORMAT):
        ids = select(Format.id).where(Format.name == name.removeprefix(FORMAT))
        return CleanRecord.format_id.in_(ids) if rose else CleanRecord.format_id.not_in(ids)
    found = MEASURED.get(name)
    if found is None:
        return None
    if rose:
        return found.condition
    return ~found.condition if found.among is None else ~found.condition & found.among
