"""Access logs of load balancers: HAProxy's HTTP log and AWS's application load balancer."""

import re
from typing import Any

from pipeline.formats.base import Format, Group
from pipeline.formats.fields import decode, size, text
from pipeline.formats.moments import MOMENT_COLUMNS, iso_time, slashed_time
from pipeline.formats.quantities import (
    endpoint,
    endpoint_address,
    extra_group,
    named,
    plain,
    seconds,
    status_code,
    whole,
)
from pipeline.formats.request import REQUEST_COLUMNS, request

#: Milliseconds, HAProxy's unit, in seconds.
MILLISECOND = 1e-3
#: `haproxy[14389]: ` at the end of what syslog puts before a line.
ORIGIN = re.compile(rb"(?:.* )?([^ \[]+)\[(\d{1,10})\]: ")
TIMERS = ("request_seconds", "queue_seconds", "connect_seconds", "response_seconds")
#: Fields of a load balancer's entry from the TLS cipher on; later versions add more at the end.
TAIL = (
    *("ssl_cipher", "ssl_protocol", "target_group_arn", "trace_id", "domain_name", "chosen_cert_arn"),
    *("matched_rule_priority", "request_creation_time", "actions_executed", "redirect_url", "error_reason"),
    *("targets", "target_status_codes", "classification", "classification_reason", "connection_trace_id"),
    *("transformed_host", "transformed_uri", "request_transform_status"),
)
TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)')
#: Fields of the tail that are read; nobody adds more than this.
MOST_TAIL = 64


def _origin(field: bytes) -> tuple[str | None, int | None]:
    match = ORIGIN.fullmatch(field)
    return (decode(match[1]), int(match[2])) if match else (None, None)


def _timers(field: bytes) -> list[float | None]:
    return [seconds(part, MILLISECOND) for part in field.split(b"/")]


def _haproxy_times(field: bytes) -> tuple[float | None, float | None]:
    """Return the whole duration and the server's response time of `Tq/Tw/Tc/Tr/Tt`."""
    *_, response, total = _timers(field)
    return total, response


def _haproxy_timers(field: bytes) -> dict[str, Any]:
    return {
        name: value for name, value in zip(TIMERS[:3], _timers(field)[:3], strict=True) if value is not None
    }


def _backend(field: bytes) -> dict[str, Any]:
    backend, _, name = field.partition(b"/")
    return {"backend": decode(backend), "server": decode(name)}


def _client_port(field: bytes) -> dict[str, Any]:
    port = endpoint(field)[2]
    return {} if port is None else {"client_port": port}


def _cookies(field: bytes) -> dict[str, Any]:
    asked, _, answered = field.partition(b" ")
    return named("request_cookie")(asked) | named("response_cookie")(answered)


HAPROXY = Format(
    "haproxy",
    1,
    r"(?P<origin>(?:[^\[\n]{1,255}\[\d{1,10}\]: )?)(?P<client>[^ \n]{1,255}:\d{1,5}) "
    r"\[(?P<time>\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d(?:\.\d{1,9})?)\] (?P<frontend>{word}) "
    r"(?P<backend>[^ /\n]{1,255}/[^ \n]{1,255}) (?P<timers>-?\d{1,15}(?:/-?\d{1,15}){3}/\+?-?\d{1,15}) "
    r"(?P<status>-?\d{1,3}) (?P<size>\+?\d+) (?P<cookies>{word} {word}) (?P<state>[^ \n]{4}) "
    r"(?P<connections>\d{1,15}(?:/\d{1,15}){3}/\+?\d{1,15}) (?P<queues>\d{1,15}/\d{1,15}) "
    r'(?P<headers>(?:\{[^{}\n]*\} ){0,2})"(?P<request>{greedy})"',
    (
        Group("origin", ("program", "process_id"), _origin),
        Group("client", ("ip", "client_host"), endpoint_address),
        Group("time", MOMENT_COLUMNS, slashed_time),
        Group("timers", ("duration_seconds", "upstream_seconds"), _haproxy_times),
        Group("status", ("status",), status_code),
        Group("size", ("size_bytes",), whole),
        Group("request", REQUEST_COLUMNS, request),
        extra_group(
            client=_client_port,
            frontend=named("frontend"),
            backend=_backend,
            timers=_haproxy_timers,
            cookies=_cookies,
            state=named("termination_state", decode),
            connections=named("connections", decode),
            queues=named("queues", decode),
            headers=lambda field: {"captured_headers": decode(field[:-1])} if field else {},
        ),
    ),
    "access log of HAProxy, option httplog, with or without what syslog puts before it",
    b"Feb  6 12:14:14 localhost haproxy[14389]: 203.0.113.9:33317 [06/Feb/2009:12:14:14.655] http-in "
    b'static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {example.org} {} "GET /index.html HTTP/1.1"',
)


def _alb_times(field: bytes) -> tuple[float | None, float | None]:
    """Return the sum of the times of request, target and response, and the target's; None for none."""
    times = [seconds(part) for part in field.split(b" ")]
    measured = [value for value in times if value is not None]
    return (round(sum(measured), 9) if len(measured) == len(times) else None), times[1]


def _tail(field: bytes) -> dict[str, Any]:
    tokens = TOKEN.findall(field)[:MOST_TAIL]
    names = (*TAIL, *(f"field_{number}" for number in range(len(TAIL), MOST_TAIL)))
    values = zip(names, (plain(quoted or bare or b"-") for quoted, bare in tokens), strict=False)
    return {name: value for name, value in values if value is not None}


def _domain(field: bytes) -> tuple[str | None]:
    name = _tail(field).get("domain_name")
    return (None if name is None else str(name),)


def _tail_extra(field: bytes) -> dict[str, Any]:
    return {name: value for name, value in _tail(field).items() if name != "domain_name"}


def _endpoint_extra(name: str) -> Any:
    return named(name, lambda field: text(field)[0])


ALB = Format(
    "alb",
    1,
    r"(?P<kind>https?|h2|grpcs|wss?) (?P<time>\d{4}-\d\d-\d\dT[0-9:.]{1,30}Z) (?P<elb>{word}) "
    r"(?P<client>{word}) (?P<target>{word}) "
    r"(?P<times>-?[\d.]{1,20} -?[\d.]{1,20} -?[\d.]{1,20}) (?P<status>\d\d\d|-) "
    r'(?P<target_status>\d\d\d|-) (?P<received>\d+|-) (?P<size>\d+|-) "(?P<request>{quoted})" '
    r'"(?P<user_agent>{quoted})" (?P<tail>{rest})',
    (
        Group("time", MOMENT_COLUMNS, iso_time),
        Group("client", ("ip", "client_host"), endpoint_address),
        Group("times", ("duration_seconds", "upstream_seconds"), _alb_times),
        Group("status", ("status",), status_code),
        Group("size", ("size_bytes",), size),
        Group("request", REQUEST_COLUMNS, request),
        Group("user_agent", ("user_agent",), text),
        Group("domain", ("server_name",), _domain, ("tail",)),
        extra_group(
            kind=named("type"),
            elb=named("elb"),
            client=_client_port,
            target=_endpoint_extra("target"),
            target_status=named("target_status"),
            received=named("received_bytes"),
            tail=_tail_extra,
        ),
    ),
    "access log of an AWS application load balancer",
    b"https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 203.0.113.9:2817 10.0.0.1:80 "
    b'0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" '
    b"ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/"
    b'my-targets/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" '
    b'"arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 '
    b'2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-"',
)
