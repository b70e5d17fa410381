"""The formats that grew from the common log format of NCSA httpd: `common`, `combined` and `proxy`."""

from pipeline.formats.base import Format, Group
from pipeline.formats.fields import client, common_time, size, status, text
from pipeline.formats.request import REQUEST_COLUMNS, request

HEAD = r"(?P<client>{word} {word} {user}) \[(?P<time>{time})\] "
RESULT = r"(?P<status>\d\d\d|-) (?P<size>\d+|-)"
# What repeats together is one group: one look into one memo for several columns.
HEAD_GROUPS = (
    Group("client", ("ip", "client_host", "session", "user_name"), client),
    Group("time", ("timestamp", "utc_offset_minutes"), common_time),
    Group("request", REQUEST_COLUMNS, request),
    Group("status", ("status",), status),
    Group("size", ("size_bytes",), size),
)

#: `client identity user [time] "request" status size`: Apache's `%h %l %u %t "%r" %>s %b`. The second field,
#: which servers that do not ask RFC 1413 leave empty or use for an identifier, goes to `session`.
COMMON = Format(
    "common",
    2,
    HEAD + r'"(?P<request>{quoted})" ' + RESULT,
    HEAD_GROUPS,
    "access log of Apache and others, the common log format of NCSA httpd",
    b'203.0.113.9 - jane [17/May/2015:10:05:03 +0000] "GET /a?b=1 HTTP/1.1" 200 1386',
    essential="status",
)

#: `common` with the quoted referer and user agent: the default of nginx.
COMBINED = Format(
    "combined",
    2,
    COMMON.pattern + r' "(?P<referer>{quoted})" "(?P<user_agent>{quoted})"',
    (*HEAD_GROUPS, Group("referer", ("referer",), text), Group("user_agent", ("user_agent",), text)),
    "access log of nginx and Apache: common with referer and user agent",
    COMMON.example + b' "https://example.org/" "Mozilla/5.0 (X11)"',
    essential="status",
)

#: `client session user [time] "request" status size -`, of a proxy that does not escape: the request, whose
#: URL may hold raw quotes, ends at the last quote that status, size and the dash follow.
PROXY = Format(
    "proxy",
    2,
    HEAD + r'"(?P<request>{greedy})" ' + RESULT + " -",
    HEAD_GROUPS,
    "access log of a proxy: absolute URLs, with session and user",
    b"203.0.113.9 YWN6Z2YRMwbb1KF jane.doe@example.org [01/Mar/2023:00:00:09 -0500] "
    b'"GET https://app.example.com:443/a?x=1 HTTP/1.1" 200 1386 -',
    essential="status",
)
