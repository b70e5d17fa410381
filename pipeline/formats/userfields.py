"""What users say of a field: its column, type, unit and layout of time → the use of it."""

from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.base import COLUMNS, ColumnType
from pipeline.formats.kinds import KINDS
from pipeline.formats.naming import Use, use, usual

FIELD_KEYS = ("column", "type", "unit", "format")
#: Columns that follow from others or from the line's place: no field fills them.
OWN = ("utc_offset_minutes", "inferred", "continues", "failed_fields", "extra")
#: The types that a column takes, by its own; the first is the one that it has without a word.
FITTING = {
    ColumnType.TEXT: ("text", "level"),
    ColumnType.SMALLINT: ("integer",),
    ColumnType.INTEGER: ("integer",),
    ColumnType.BIGINT: ("bigint", "integer"),
    ColumnType.BOOLEAN: ("boolean",),
    ColumnType.DOUBLE: ("double", "duration"),
    ColumnType.TIMESTAMP: ("time",),
    ColumnType.INET: ("ip",),
}


def named_use(name: str, given: Any) -> Use:
    """Return the use of an entry of `[map]`: a column's name, or a table as in `[fields.NAME]`.

    Raises:
        ConfigurationError: names the entry and what to change.
    """
    return field_use(name, {"column": given} if isinstance(given, str) else given, "map")


def field_use(name: str, given: Any, place: str = "fields") -> Use:
    """Return the use of a field; without a column it is that of its usual name, or `extra`.

    Raises:
        ConfigurationError: names the key and what to change.
    """
    where = f"{place}.{name}"
    if not isinstance(given, dict):
        raise ConfigurationError(f"{where}: write a table: [{place}.{name}]")
    for key, value in given.items():
        if key not in FIELD_KEYS or not isinstance(value, str):
            raise ConfigurationError(f"{where}.{key}: use texts for {', '.join(FIELD_KEYS)}")
    kind = given.get("type", "")
    if kind and kind not in KINDS:
        raise ConfigurationError(f"{where}.type: no type {kind!r}; use one of {', '.join(KINDS)}")
    column = given.get("column") or _usual_column(name, kind)
    fitting = _fitting(column, where)
    kind = kind or ("duration" if "unit" in given else "time" if "format" in given else fitting[0])
    if kind not in fitting:
        raise ConfigurationError(f"{where}.type: {column} takes {' or '.join(fitting)}, not {kind}")
    if "unit" in given and kind != "duration":
        raise ConfigurationError(f"{where}.unit: only a duration has one")
    if "format" in given and kind != "time":
        raise ConfigurationError(f"{where}.format: only a time has one")
    try:
        return use(kind, column, unit=given.get("unit", ""), layout=given.get("format", ""))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}.unit: {error}") from None


def _fitting(column: str, where: str) -> tuple[str, ...]:
    """Return the types that a column takes; "" is extra, which takes any."""
    if not column:
        return ("text", *KINDS)
    if column not in COLUMNS or column in OWN:
        known = ", ".join(name for name in COLUMNS if name not in OWN)
        raise ConfigurationError(
            f"{where}.column: no column {column!r}; use one of {known}, or none for extra"
        )
    return (*FITTING[COLUMNS[column]], *(("request", "url") if column == "path" else ()))


def _usual_column(name: str, kind: str) -> str:
    """Return the column of a field's usual name, "" where it has none, or one of another type."""
    known = usual(name)
    if known is None:
        return ""
    column = "path" if "path" in known.columns else known.columns[0]
    return column if not kind or kind in _fitting(column, name) else ""
