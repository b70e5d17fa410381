"""syslog-ng: file() reads the log, sql() stores the lines, and apache-accesslog-parser's fields beside them.

A batch of up to 1,000 lines is a transaction of single INSERTs; it does not quote identifiers.
"""

from pathlib import Path

from bench.nodes import ServiceMissing
from bench.peers.peer import Peer, Programs, Where, root, unpacked

PACKAGES = "syslog-ng-core syslog-ng-scl syslog-ng-mod-sql libdbd-pgsql"
#: Column of the table → field of the parser.
_FIELDS = {
    "ip": "clientip",
    "session": "ident",
    "user_name": "auth",
    "timestamp": "timestamp",
    "method": "verb",
    "url": "request",
    "version": "httpversion",
    "status": "response",
    "size": "bytes",
    "referer": "referrer",
    "user_agent": "agent",
}
_STORE = (
    "indexes() batch-lines(1000) batch-timeout(1000) log-fifo-size(20000) "
    "flags(explicit-commits, dont-create-tables)"
)


def _listed(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _destination(where: Where, name: str, fields: dict[str, str]) -> str:
    database = 'host("{host}") port("{port}") username("{user}") password("") database("{name}")'
    columns, values = _listed(list(fields)), _listed(list(fields.values()))
    table = f'table("peer_{name}") columns({columns}) values({values})'
    return f"destination {name} {{ sql(type(pgsql) {database.format(**where.database)} {table} {_STORE}); }};"


def _configuration(where: Where, parser: Path) -> str:
    clean = {column: f"${{.a.{field}}}" for column, field in _FIELDS.items()}
    source = f'file("{where.log}" flags(no-parse) log-fetch-limit(1000) log-iw-size(10000))'
    lines = [
        "@version: current",
        f'@include "{parser}"',
        "options { keep-hostname(yes); stats-freq(0); log-msg-size(65536); };",
        f"source lines {{ {source}; }};",
        'parser fields { apache-accesslog-parser(prefix(".a.")); };',
        'rewrite size { set("0" value(".a.bytes") condition("${.a.bytes}" eq "-")); };',
        _destination(where, "raw", {"line": "${MESSAGE}"}),
        _destination(where, "clean", clean),
        "log { source(lines); destination(raw); flags(flow-control); };",
        "log { source(lines); parser(fields); rewrite(size); destination(clean); flags(flow-control); };",
    ]
    return "\n".join(lines) + "\n"


def _programs(where: Where) -> Programs:
    path, modules = unpacked(
        "syslog-ng", "usr/lib/syslog-ng/[0-9]*", ("libaffile", "libcsvparser", "libafsql"), PACKAGES
    )
    parser = root(path) / "usr/share/syslog-ng/include/scl/apache/apache.conf"
    drivers = [
        *root(path).glob("usr/lib/*/dbd/libdbdpgsql.so"),
        *Path("/").glob("usr/lib/*/dbd/libdbdpgsql.so"),
    ]
    if not parser.exists() or not drivers:
        raise ServiceMissing(f"not installed: apt-get install {PACKAGES} (one of the last three is missing)")
    settings = where.folder / "syslog-ng.conf"
    settings.write_text(_configuration(where, parser))
    own = {"-R": "persist", "-p": "pid", "-c": "control"}
    files = [word for flag, name in own.items() for word in (flag, str(where.folder / name))]
    libraries = ["env", f"LD_LIBRARY_PATH={modules.parent}"]
    run = [str(path), "-F", "-e", "--no-caps", "-f", str(settings), f"--module-path={modules}", *files]
    return Programs([], "", [*libraries, *run])


SYSLOG_NG = Peer("syslog-ng", 200_000, "a broker, a durable queue, exactly once; 11 columns", _programs)
