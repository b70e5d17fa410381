"""The request line: what it splits into, and that nothing of it is lost."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.formats.fields import decode
from pipeline.formats.request import REQUEST_COLUMNS, join_url, request, split_target

#: What targets are made of, and what makes them ambiguous.
PARTS = (
    "http",
    "https",
    "://",
    "/",
    ":",
    "@",
    "?",
    "#",
    "[",
    "]",
    "::1",
    "80",
    "080",
    "65536",
    "0",
    "*",
    " ",
)
TARGETS = st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=3)), max_size=12).map("".join)


def split(field: bytes) -> dict[str, str | int | None]:
    """Return the columns of a request that are not NULL."""
    values = dict(zip(REQUEST_COLUMNS, request(field), strict=True))
    return {column: value for column, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("field", "columns"),
    [
        (b"-", {}),
        (b"", {"path": ""}),
        (b"GET / HTTP/1.1", {"rest_method": "GET", "path": "/", "rest_version": "HTTP/1.1"}),
        (b"GET /", {"rest_method": "GET", "path": "/"}),
        (
            b"GET /a?b=1?c HTTP/2",
            {"rest_method": "GET", "path": "/a", "query": "b=1?c", "rest_version": "HTTP/2"},
        ),
        (b"GET /a? HTTP/1.0", {"rest_method": "GET", "path": "/a", "query": "", "rest_version": "HTTP/1.0"}),
        (
            b"GET /a#b?c HTTP/1.1",
            {"rest_method": "GET", "path": "/a#b", "query": "c", "rest_version": "HTTP/1.1"},
        ),
        (b"GET /a b HTTP/1.1", {"rest_method": "GET", "path": "/a b", "rest_version": "HTTP/1.1"}),
        (b"GET //h/a HTTP/1.1", {"rest_method": "GET", "path": "//h/a", "rest_version": "HTTP/1.1"}),
        (b"OPTIONS * HTTP/1.1", {"rest_method": "OPTIONS", "path": "*", "rest_version": "HTTP/1.1"}),
        (
            b"GET https://app.example.com:443/a?x=1 HTTP/1.1",
            {
                "rest_method": "GET",
                "schema": "https",
                "host": "app.example.com",
                "port": 443,
                "path": "/a",
                "query": "x=1",
                "rest_version": "HTTP/1.1",
            },
        ),
        (
            b"GET http://[2001:db8::1]:8080 HTTP/1.1",
            {
                "rest_method": "GET",
                "schema": "http",
                "host": "[2001:db8::1]",
                "port": 8080,
                "path": "",
                "rest_version": "HTTP/1.1",
            },
        ),
        (
            b"CONNECT example.org:443 HTTP/1.1",
            {
                "rest_method": "CONNECT",
                "host": "example.org",
                "port": 443,
                "path": "",
                "rest_version": "HTTP/1.1",
            },
        ),
        (rb"\x16\x03\x01\x02", {"path": r"\x16\x03\x01\x02"}),
        (b"\x16\x03\x01\0", {"path": "\x16\x03\x01\\x00"}),
        (b"SSH-2.0-Go x", {"path": "SSH-2.0-Go x"}),
        (b"GET", {"path": "GET"}),
        (b'{"a": "b"} HTTP/1.1', {"path": '{"a": "b"} HTTP/1.1'}),
    ],
)
def test_request_splits_into_its_parts(field: bytes, columns: dict[str, str | int]) -> None:
    """Each form of a request fills its columns; what is no request is all path."""
    assert columns == split(field)


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("h:0", "h", 0),
        ("h:65535", "h", 65535),
        ("h:65536", "h:65536", None),
        ("h:080", "h:080", None),
        ("h:", "h:", None),
        ("h:8\u0660", "h:8\u0660", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("user:secret@h:81", "user:secret@h", 81),
        ("user:secret@h", "user:secret@h", None),
        (":80", "", 80),
        ("80", "80", None),
    ],
)
def test_port_is_plain_decimal_or_stays_in_the_host(authority: str, host: str, port: int | None) -> None:
    """A port that its number does not give back is not taken off the host."""
    assert ("http", host, port, "/", None) == split_target("GET", f"http://{authority}/")


@given(st.sampled_from(("GET", "CONNECT")), TARGETS)
@example("CONNECT", "/a")
@example("GET", "http://")
def test_target_joins_again(method: str, target: str) -> None:
    """Schema, host, port, path and query, written one after the other, are the target."""
    assert target == join_url(split_target(method, target))


@given(st.one_of(st.binary(), st.builds(lambda *p: " ".join(p).encode(), TARGETS, TARGETS, TARGETS)))
@example(b"GET /a HTTP/1.1")
@example(b"GET /")
def test_request_joins_again(field: bytes) -> None:
    """Method, url and version give the text of the request back, whatever it was."""
    method, *target, version = request(field)
    if field == b"-":
        assert (method, version, target) == (None, None, [None] * 5)
    else:
        words = (method, join_url(tuple(target)), version)  # type: ignore[arg-type]
        assert decode(field) == " ".join(str(word) for word in words if word is not None)
