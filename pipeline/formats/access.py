"""Access logs that say more than `combined`: virtual host, forwarded addresses, durations."""

import re
from typing import Any

from pipeline.formats.base import Format, Group
from pipeline.formats.fields import decode
from pipeline.formats.ncsa import COMBINED
from pipeline.formats.quantities import duration, extra_group, listed_seconds, named, seconds

#: One microsecond, in seconds: the unit of Apache's %D.
MICROSECOND = 1e-6
#: `uct="0.001, 0.002"` and such; the value is a list of numbers, with or without quotes.
TIMED = re.compile(rb'([a-z_]+)="?((?:[\d.:-]|, | : )*)')
#: What is usual to call nginx's times of its upstream servers.
UPSTREAM = {"uct": "upstream_connect_seconds", "uht": "upstream_header_seconds"}
_TIME = r"(?:\d+\.\d{3}|-)"
_LIST = rf"{_TIME}(?:(?:, | : ){_TIME})*"
_END = COMBINED.example


def server(field: bytes) -> tuple[str | None, dict[str, Any] | None]:
    """Return the name of the virtual host, and its port for `extra`."""
    name, _, port = field.rpartition(b":")
    return decode(name), {"server_port": int(port)}


def request_time(field: bytes) -> tuple[float | None, float | None, dict[str, Any] | None]:
    """Return duration, upstream duration and further times: `rt=0.2 uct="0.1" urt="0.1"` or `0.200 0.100`."""
    if not field.startswith(b"rt="):
        whole, _, upstream = field.partition(b" ")
        return seconds(whole), *listed_seconds(upstream), None
    times = {key.decode(): value for key, value in TIMED.findall(field)}
    extra = {
        UPSTREAM.get(key, key): listed_seconds(value)[0]
        for key, value in times.items()
        if key not in ("rt", "urt")
    }
    found = {key: value for key, value in extra.items() if value is not None}
    return seconds(times["rt"]), *listed_seconds(times.get("urt", b"")), found or None


VHOST_COMBINED = Format(
    "vhost_combined",
    1,
    r"(?P<server>[^ :\n]{1,255}:\d{1,5}) " + COMBINED.pattern,
    (Group("server", ("server_name", "extra"), server), *COMBINED.groups),
    "access log of Apache with virtual hosts, Debian's vhost_combined: host:port and combined",
    b"www.example.org:443 " + _END,
    essential="status",
)

#: The format `main` of nginx's own packages.
NGINX_MAIN = Format(
    "nginx_main",
    1,
    COMBINED.pattern + r' "(?P<forwarded>{quoted})"',
    (*COMBINED.groups, extra_group(forwarded=named("x_forwarded_for"))),
    'access log of nginx\'s own packages, main: combined and "$http_x_forwarded_for"',
    _END + b' "198.51.100.7"',
    essential="status",
)

NGINX_TIMED = Format(
    "nginx_timed",
    1,
    COMBINED.pattern
    + r'(?P<forwarded>(?: "{quoted}")?)'
    + rf' (?P<times>rt={_TIME}(?: [a-z]{{2,4}}=(?:"(?:{_LIST})?"|{_LIST})?)*|\d+\.\d{{3}}(?: {_LIST})?)',
    (
        *COMBINED.groups,
        Group("times", ("duration_seconds", "upstream_seconds"), lambda field: request_time(field)[:2]),
        extra_group(
            forwarded=lambda field: named("x_forwarded_for")(field[2:-1]) if field else {},
            times=lambda field: request_time(field)[2] or {},
        ),
    ),
    'access log of nginx with times: combined and rt=… uct="…" uht="…" urt="…", or the bare times',
    _END + b' rt=0.120 uct="0.001" uht="0.098" urt="0.100"',
    essential="status",
)

COMBINED_DURATION = Format(
    "combined_duration",
    1,
    COMBINED.pattern + r" (?P<duration>\d+|-)",
    (*COMBINED.groups, Group("duration", ("duration_seconds",), duration(MICROSECOND))),
    "access log of Apache with its duration: combined and %D, in microseconds",
    _END + b" 120345",
    essential="status",
)
