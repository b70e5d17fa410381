r"""The request line of HTTP: method, target and version, and the parts of the target.

Nothing of the text is lost: `method SP url SP version` is the request again, where the url is
`[schema "://"] [host] [":" port] path ["?" query]`. A request that does not split is all path.
"""

import re

from pipeline.formats.fields import ABSENT, decode

#: Method (a token of RFC 9110), target and version; or the method and path of HTTP/0.9, without a version.
REQUEST = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (.*) (HTTP/[0-9](?:\.[0-9])?)|([A-Z]+) (/[^ ]*)", re.DOTALL
)
#: Scheme, authority and the rest of an absolute target (RFC 3986).
ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
#: Authority and the rest of what CONNECT names.
AUTHORITY = re.compile(r"([^/?#]*)(.*)", re.DOTALL)
#: A port that its number gives back.
PORT = re.compile(r"0|[1-9][0-9]{0,4}")
MAX_PORT = 65535

#: Host and port.
Authority = tuple[str, int | None]
#: Schema, host, port, path and query. None is a part that is not there, "" one that is there and empty.
Target = tuple[str | None, str | None, int | None, str, str | None]
#: The columns of `request`, in order.
REQUEST_COLUMNS = ("rest_method", "schema", "host", "port", "path", "query", "rest_version")


def request(field: bytes) -> tuple[str | int | None, ...]:
    """Return one value for each of REQUEST_COLUMNS: all None for `-`, all but path if it does not split."""
    if field == ABSENT:
        return (None,) * len(REQUEST_COLUMNS)
    text = decode(field)
    match = REQUEST.fullmatch(text)
    if match is None:
        return (None, None, None, None, text, None, None)
    method, target, version, old_method, old_path = match.groups()
    if version is None:
        return (old_method, *split_target(old_method, old_path), None)
    return (method, *split_target(method, target), version)


def split_target(method: str, target: str) -> Target:
    """Return the parts of a target; only the target of CONNECT may name an authority without a scheme."""
    if target.startswith("/") and method != "CONNECT":
        return (None, None, None, *split_query(target))
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is not None:
        schema, authority, rest = absolute.groups()
        return (schema, *split_authority(authority), *split_query(rest))
    if method != "CONNECT":
        return (None, None, None, *split_query(target))
    bare = AUTHORITY.fullmatch(target)
    assert bare is not None, "the pattern takes any text"
    return (None, *split_authority(bare[1]), *split_query(bare[2]))


def split_query(rest: str) -> tuple[str, str | None]:
    """Return path and query; the query is None where no question mark is. A fragment stays where it is."""
    path, mark, query = rest.partition("?")
    return path, query if mark else None


def split_authority(authority: str) -> Authority:
    """Return host and port; what is no port from 0 to 65535 in plain decimal stays in the host.

    So do a user before an @ and the brackets of an IPv6 address.
    """
    host, colon, port = authority.rpartition(":")
    name = host.rpartition("@")[2]
    is_name = ":" not in name or (name.startswith("[") and name.endswith("]"))
    if colon and is_name and PORT.fullmatch(port) and int(port) <= MAX_PORT:
        return host, int(port)
    return authority, None


def join_url(target: Target) -> str:
    """Return the target that `split_target` took apart."""
    schema, host, port, path, query = target
    return "".join(
        (
            "" if schema is None else f"{schema}://",
            host or "",
            "" if port is None else f":{port}",
            path,
            "" if query is None else f"?{query}",
        )
    )
