"""An ordinary parser of the format `combined`, as people write it first: what the peers in Python share.

It needs the standard library alone, so that a peer may run it with a Python of its own.
"""

import re

#: The columns, in the order of the fields of a line.
NAMES = (
    "ip",
    "session",
    "user_name",
    "timestamp",
    "method",
    "url",
    "version",
    "status",
    "size",
    "referer",
    "user_agent",
)
#: How `timestamp` is written.
TIME = "%d/%b/%Y:%H:%M:%S %z"
_LINE = re.compile(
    r'(\S+) (\S+) (\S+) \[([^\]]+)\] "(\S+) (\S+) ([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
)


def split(line: str) -> tuple[str, str, str, str, str, str, str, int, int, str, str]:
    """Return the fields of a line, status and size as numbers, the time as it is written."""
    match = _LINE.fullmatch(line)
    assert match is not None, "generated lines parse"
    ip, session, user, time, method, url, version, status, size, referer, agent = match.groups()
    number = 0 if size == "-" else int(size)
    return ip, session, user, time, method, url, version, int(status), number, referer, agent
