"""rsyslog: imfile reads the log, ompgsql stores the lines, and mmnormalize's fields beside them.

A batch of up to 1,000 lines is a transaction. Each table has a queue in memory and a connection of its own,
which is faster than one after the other.
"""

from collections.abc import Mapping

from bench.peers.fields import NAMES
from bench.peers.peer import Peer, Programs, Where, unpacked

PACKAGES = "rsyslog rsyslog-pgsql"
#: `char-sep` may be empty, `char-to` and `word` may not (liblognorm 2).
_RULES = (
    "version=2\n"
    "rule=:%ip:word% %session:word% %user_name:word% [%timestamp:char-to:]%] "
    '"%method:word% %url:word% %version:char-to:"%" %status:number% %size:word% '
    '"%referer:char-sep:"%" "%user_agent:char-sep:"%"\n'
)
#: `-` stands for no bytes.
_SIZE = "replace('%$!size%', '-', '0')::integer"
#: A full queue holds its writer back; by default rsyslog drops the line after two seconds.
_QUEUE = (
    'queue.type="LinkedList" queue.size="20000" queue.dequeueBatchSize="1000" queue.workerThreads="1" '
    'queue.timeoutEnqueue="600000" queue.timeoutShutdown="10000"'
)


def _template(name: str, values: Mapping[str, str]) -> str:
    names, made = ", ".join(values), ", ".join(values.values())
    insert = f"INSERT INTO peer_{name} ({names}) VALUES ({made})"  # noqa: S608 - rsyslog escapes what it fills in
    return f'template(name="{name}" type="string" option.stdsql="on" string="{insert}")'


def _configuration(where: Where) -> str:
    database = 'server="{host}" port="{port}" user="{user}" pass="" db="{name}"'.format(**where.database)
    lines = [
        f'global(workDirectory="{where.folder}" maxMessageSize="64k")',
        *(f'module(load="{name}")' for name in ("imfile", "mmnormalize", "ompgsql")),
        'main_queue(queue.size="20000" queue.dequeueBatchSize="1000")',
        _template("raw", {"line": "'%msg%'"}),
        _template("clean", {name: f"'%$!{name}%'" for name in NAMES} | {"size": _SIZE}),
        'ruleset(name="store") {',
        f'action(type="mmnormalize" ruleBase="{where.folder / "rules"}" useRawMsg="on")',
        *(f'action(type="ompgsql" {database} template="{name}" {_QUEUE})' for name in ("raw", "clean")),
        "}",
        f'input(type="imfile" file="{where.log}" tag="log" ruleset="store")',
    ]
    return "\n".join(lines) + "\n"


def _programs(where: Where) -> Programs:
    path, modules = unpacked("rsyslogd", "usr/lib/*/rsyslog", ("imfile", "mmnormalize", "ompgsql"), PACKAGES)
    (where.folder / "rules").write_text(_RULES)
    settings = where.folder / "rsyslog.conf"
    settings.write_text(_configuration(where))
    pid = where.folder / "rsyslog.pid"
    return Programs([], "", [str(path), "-n", "-f", str(settings), "-i", str(pid), "-M", str(modules)])


RSYSLOG = Peer("rsyslog", 200_000, "a broker, a durable queue, exactly once; 11 columns", _programs)
