"""OpenSSH: what sshd says in the syslog of who came, who was let in, and who was not.

`extra` has the `action`, the `method` of the authentication, `invalid_user` for a name that no account has,
and `preauth` for what happened before it. A user's name comes from the network: it ends at the last place at
which the rest of the message fits. Messages that are not known here are records all the same.
"""

import re
from datetime import datetime
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.fields import address
from pipeline.formats.line import LineFormat
from pipeline.formats.syslog import COLUMNS, legacy

#: Programs that sshd has been since it was split (OpenSSH 9.8).
PROGRAMS = ("sshd", "sshd-session", "sshd-auth")
WHERE = r"(?P<ip>\S+) port (?P<port>\d{1,5})"
WHO = r"(?P<invalid>invalid user |illegal user )?(?P<user>.*)"
#: Who it is that a connection belongs to, where sshd says it.
OWNER = r"(?:(?:(?P<invalid>invalid )|authenticating )?user (?P<user>.*) )?"
END = r"(?P<preauth> \[preauth\])?"
#: Action → how its messages read; the first that fits counts.
MESSAGES = {
    action: re.compile(pattern, re.ASCII | re.DOTALL)
    for action, pattern in (
        ("accepted", rf"Accepted (?P<method>\S+) for (?P<user>.*) from {WHERE}(?: ssh2?)?(?:: .*)?"),
        ("failed", rf"Failed (?P<method>\S+) for {WHO} from {WHERE}(?: ssh2?)?(?:: .*)?"),
        ("postponed", rf"Postponed (?P<method>\S+) for {WHO} from {WHERE}(?: ssh2?)?{END}"),
        (
            "invalid user",
            r"(?P<invalid>Invalid user) (?P<user>.*) from (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?",
        ),
        (
            "too many attempts",
            rf"(?:error: )?maximum authentication attempts exceeded for {WHO} from {WHERE}(?: ssh2?)?{END}",
        ),
        ("closed", rf"Connection closed by {OWNER}{WHERE}{END}"),
        ("reset", rf"Connection reset by {OWNER}{WHERE}{END}"),
        ("disconnected", rf"Disconnected from {OWNER}{WHERE}{END}"),
        ("disconnecting", rf"Disconnecting {OWNER}{WHERE}: .*"),
        ("disconnect received", rf"(?:error: )?Received disconnect from {WHERE}:.*"),
        ("connection", rf"Connection from {WHERE} on .*"),
        ("no identification", rf"(?:error: )?Did not receive identification string from {WHERE}"),
        ("bad protocol", rf"Bad protocol version identification .* from {WHERE}"),
        ("bad banner", rf"(?:error: )?banner exchange: Connection from {WHERE}: .*"),
        ("no negotiation", rf"Unable to negotiate with {WHERE}: .*"),
        ("not allowed", r"User (?P<user>.*) from (?P<ip>\S+) not allowed because .*"),
        (
            "session opened",
            r"pam_unix\(sshd:session\): session opened for user (?P<user>.*?)(?:\(uid=\d+\))? by .*",
        ),
        ("session closed", r"pam_unix\(sshd:session\): session closed for user (?P<user>.*)"),
        (
            "authentication failure",
            r"pam_unix\(sshd:auth\): authentication failure; .*? rhost=(?P<ip>\S+)(?: +user=(?P<user>.*))?",
        ),
        ("listening", r"Server listening on \S+ port (?P<port>\d{1,5})\."),
    )
}
#: Actions that are failed logins; the others of one attempt are not counted a second time.
FAILED = ("failed", "invalid user", "too many attempts")
MAX_PORT = 65535


def read(line: bytes, at: datetime) -> dict[str, Any]:
    """Return the values of a line of sshd.

    Raises:
        RejectedLine: it is no line of syslog, or of another program.
    """
    values = legacy(line, at)
    if values.get("program") not in PROGRAMS:
        raise RejectedLine(f'expected "sshd", not {str(values.get("program"))[:40]!r}')
    extra = values["extra"] or {}
    for action, pattern in MESSAGES.items():
        if match := pattern.fullmatch(values["message"]):
            values |= _found(match.groupdict())
            extra |= {"action": action} | _said(match.groupdict())
            break
    return values | {"extra": extra or None}


def tried(message: str) -> tuple[str, str] | None:
    """Return address and user of a failed login that sshd tells of, None where it tells of another thing."""
    for action in FAILED:
        if match := MESSAGES[action].fullmatch(message):
            return match["ip"], match["user"]
    return None


def _found(groups: dict[str, str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {"user_name": groups.get("user")}
    if port := groups.get("port"):
        found["port"] = int(port) if int(port) <= MAX_PORT else None
    if client := groups.get("ip"):
        found["ip"], found["client_host"] = address(client.encode())
    return found


def _said(groups: dict[str, str | None]) -> dict[str, Any]:
    said: dict[str, Any] = {"method": method} if (method := groups.get("method")) else {}
    if groups.get("invalid"):
        said["invalid_user"] = True
    if groups.get("preauth"):
        said["preauth"] = True
    return said


OPENSSH = LineFormat(
    "openssh",
    1,
    (*COLUMNS, "ip", "client_host", "port", "user_name", "message", "extra"),
    read,
    "OpenSSH: lines of sshd in /var/log/auth.log or secure",
    b"Nov 24 12:00:00 web-1 sshd[4711]: Failed password for invalid user admin from 203.0.113.9 port 52144",
    "syslog line of sshd: time host sshd[process]: message",
)
