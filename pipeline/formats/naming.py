"""Named fields → columns: the names that programs usually give, and the record made of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.fields import quote, storable
from pipeline.formats.kinds import SPREAD, TIME_COLUMNS, Convert, WithoutUnit, converter
from pipeline.formats.line import LineFormat

#: Deepest nesting of lists and objects that is kept: what reads and writes JSON goes into each level.
MOST_LEVELS = 64
#: How many names are remembered; a log has some dozens.
KEPT_NAMES = 4096
#: How many texts of a field are remembered, and the longest of them, in characters.
KEPT_VALUES, SHORT_CHARACTERS = 1000, 100
#: What no column takes.
NESTED = (dict, list)


@dataclass(frozen=True, slots=True)
class Use:
    """What becomes of a field: the columns it may fill, and how; without columns it goes to `extra`."""

    columns: tuple[str, ...]
    convert: Convert
    #: Short texts that were converted already, and what they are; None where the moment counts too.
    known: dict[str, dict[str, Any]] | None = field(default_factory=dict, compare=False, repr=False)

    def read(self, value: Any, at: datetime) -> dict[str, Any]:
        """Return what a value fills; ValueError or TypeError: it is no such thing."""
        if self.known is None or not isinstance(value, str) or len(value) > SHORT_CHARACTERS:
            return self.convert(value, at)
        found = self.known.get(value)
        if found is None:
            if len(self.known) >= KEPT_VALUES:
                self.known.clear()
            found = self.known[value] = self.convert(value, at)
        return found


def use(kind: str, column: str = "", *, unit: str = "", layout: str = "") -> Use:
    """Return the use of a field of a kind in a column; "" is `extra`.

    Raises:
        ConfigurationError: there is no such kind or unit.
    """
    columns = SPREAD.get(kind, (column,)) if column else ()
    convert = converter(kind, column, unit=unit, layout=layout)
    return Use(columns, convert, None if layout else {})


#: Usual names, without case, a leading `@`, and with `_` for `-` and `.`; the first is the column's own.
USUAL: dict[Use, str] = {
    use("time", "timestamp"): "timestamp time ts t datetime date_time date eventtime event_time asctime "
    "time_local time_iso8601 msec epoch start_time startedat created_at logged_at",
    use(
        "level", "level"
    ): "level severity lvl loglevel log_level levelname level_name severity_text priority",
    use("text", "message"): "message msg event text short_message log error_message",
    use("ip", "ip"): "ip remote_addr remoteaddr remote_ip remoteip client_ip clientip client_addr client "
    "source_ip sourceip src_ip ip_address ipaddress",
    use("text", "client_host"): "client_host remote_host",
    use("integer", "port"): "port",
    use("integer", "status"): "status status_code statuscode http_status response_code response_status",
    use("text", "user_name"): "user_name user username remote_user login",
    use("text", "session"): "session session_id sessionid",
    use("request", "path"): "request request_line",
    use("url", "path"): "url uri request_uri path request_path",
    use("text", "query"): "query query_string args",
    use("text", "rest_method"): "rest_method method request_method http_method verb",
    use("text", "schema"): "schema scheme",
    use("text", "rest_version"): "rest_version server_protocol protocol http_version proto",
    use("text", "server_name"): "server_name vhost virtual_host http_host host hostname",
    use("bigint", "size_bytes"): "size_bytes body_bytes_sent bytes_sent response_size size bytes "
    "content_length response_bytes",
    use("text", "referer"): "referer referrer http_referer http_referrer",
    use("text", "user_agent"): "user_agent useragent http_user_agent agent ua",
    use("duration", "duration_seconds", unit="s"): "duration_seconds request_time elapsed_seconds duration_s",
    use(
        "duration", "duration_seconds", unit="ms"
    ): "duration_ms elapsed_ms latency_ms response_time_ms took_ms",
    use("duration", "duration_seconds"): "duration elapsed latency took response_time",
    use("duration", "upstream_seconds", unit="s"): "upstream_seconds upstream_response_time",
    use("text", "program"): "program app application service service_name appname app_name logger "
    "logger_name logger_name syslog_identifier ident",
    use("bigint", "process_id"): "process_id pid processid",
}
NAMES = {name: each for each, names in USUAL.items() for name in names.split()}


def columns_of(uses: Iterable[Use]) -> tuple[str, ...]:
    """Return the columns that a record of such fields may fill."""
    columns = (column for each in uses for column in each.columns)
    return tuple(dict.fromkeys((*columns, "failed_fields", "extra")))


@lru_cache(KEPT_NAMES)
def usual(name: str) -> Use | None:
    """Return what a name usually means, None where it means nothing."""
    return NAMES.get(name.lower().lstrip("@").replace("-", "_").replace(".", "_"))


class _Record:
    """A record on its way: columns filled so far, what goes to `extra`, fields that did not convert."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.values: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.failed: list[str] = []
        self.bad_time: object = None

    def add(self, name: str, value: Any, how: Use | None) -> None:
        """Put a field where it belongs; it stays in `extra` where its column is taken or does not take it."""
        if how is None:
            self.extra[name] = value
            return
        try:
            found = how.read(value, self.at)
        except WithoutUnit:
            self.extra[name] = value
            return
        except (TypeError, ValueError):
            self._fail(name, value, how)
            return
        if not how.columns:
            self.extra[name] = _single(found, value)
        elif not self._fill(found):
            self.extra[name] = value

    def _fill(self, found: dict[str, Any]) -> bool:
        """Fill columns, or return False where another field has filled one of them with something else."""
        values = self.values
        for column, value in found.items():
            if value is not None and values.get(column, value) != value:
                return False
        for column, value in found.items():
            if value is not None:
                values[column] = value
        return True

    def _fail(self, name: str, value: Any, how: Use) -> None:
        self.extra[name] = value
        if how.columns == TIME_COLUMNS:
            self.bad_time = value if self.bad_time is None else self.bad_time
        else:
            self.failed.append(name)

    def finished(self) -> dict[str, Any]:
        """Return the values by column; raise RejectedLine where no field has a time."""
        if "timestamp" not in self.values:
            if self.bad_time is None:
                raise RejectedLine("no field with a time")
            raise RejectedLine(
                f"time {quote(str(self.bad_time).encode(errors='backslashreplace'))} is not one"
            )
        if self.failed:
            self.values["failed_fields"] = storable(",".join(self.failed))
        if self.extra:
            self.values["extra"] = storable(self.extra)
        return self.values


def _single(found: dict[str, Any], value: Any) -> Any:
    """Return the one value of a field in `extra`: a typed one, or its text where it would be several."""
    if len(found) == 1:
        return next(iter(found.values()))
    if "timestamp" in found:
        return found["timestamp"].isoformat()
    return (found["ip"] or found["client_host"]) if "ip" in found else value


def record(
    fields: Mapping[str, Any], uses: Mapping[str, Use], at: datetime, *, by_usual_names: bool = True
) -> dict[str, Any]:
    """Return the values by column of named fields: first those of `uses`, then those with usual names.

    A field that fits no column, or whose column another field has filled, goes to `extra`.

    Raises:
        RejectedLine: none of them has a time.
    """
    made = _Record(at)
    for name, how in uses.items():
        if name in fields:
            made.add(name, fields[name], how)
    for name, value in fields.items():
        if name not in uses:
            guessed = by_usual_names and not isinstance(value, NESTED)
            made.add(name, value, usual(name) if guessed else None)
    return made.finished()


def named_format(
    fields: Callable[[bytes], dict[str, Any]],
    name: str,
    version: int = 1,
    *,
    uses: Mapping[str, Use] | None = None,
    description: str = "",
    example: bytes = b"",
) -> LineFormat:
    """Return a format of named fields; `uses` says what further names mean, or usual ones otherwise.

    `fields` returns the values of a line by name, or raises RejectedLine.
    """
    given = dict(uses or {})
    columns = columns_of((*USUAL, *given.values()))

    def read(line: bytes, at: datetime) -> dict[str, Any]:
        return record(fields(line), given, at)

    return LineFormat(name, version, columns, read, description, example)
