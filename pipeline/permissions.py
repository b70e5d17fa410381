"""Who may do what on the broker: one user a role, each with the least that its work needs.

RabbitMQ checks three patterns against the name of an exchange or a queue: `configure` (declare, delete),
`write` (publish, bind a queue), `read` (consume, purge, bind to an exchange). Nobody but the administrator
may configure the exchange `logs` or a queue of ours: they come from the definitions (definitions.py).

Publishing to one queue by its name goes through the default exchange, which RabbitMQ knows as `amq.default`;
who may write to it may write to every queue. The watcher may not.
"""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.topology import DEAD_QUEUES, LIVE_QUEUES, LOGS, MAINTENANCE, Stage, dead_name

#: Matches no name.
NOTHING = "^$"
#: The exchanges and queues of Celery's remote control and its events; those of a process hold no batch.
CONTROL = r"(.+\.)?celery\.pidbox"
EVENTS = r"celeryev(\..+)?"
#: RabbitMQ's name for the exchange that takes a queue's name as routing key.
DEFAULT_EXCHANGE = r"amq\.default"


class Role(StrEnum):
    """A kind of process or person, with a user of its own."""

    WATCHER = "watcher"
    LAKE = "lake"
    CLEAN = "clean"
    MAINTENANCE = "maintenance"
    BEAT = "beat"
    FLOWER = "flower"
    WEB = "web"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True)
class Permission:
    """RabbitMQ's three patterns for a role, and its tags (what the management plugin shows it)."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    tags: tuple[str, ...] = ()


def _names(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


_DEAD = [dead_name(stage.queue_name) for stage in Stage]
#: The queues, to be seen: RabbitMQ 4.2.6 and later hide a queue from who has no right to it at all. To write
#: to it is the least of the three: that binds a queue, but only to an exchange that the user may read.
_SEEN = [queue.name.replace(".", r"\.") for queue in (*LIVE_QUEUES, *DEAD_QUEUES)]
_POOL_WRITE = _names(DEFAULT_EXCHANGE, CONTROL, EVENTS, *_SEEN)
_POOL_CONFIGURE = _names(CONTROL, "celeryev")


def _pool(*queues: str) -> Permission:
    return Permission(configure=_POOL_CONFIGURE, write=_POOL_WRITE, read=_names(*queues, CONTROL))


#: The permission of each role in the virtual host.
PERMISSIONS = {
    Role.WATCHER: Permission(write=_names(LOGS.name, *_SEEN)),
    Role.LAKE: _pool(Stage.LAKE.queue_name),
    Role.CLEAN: _pool(Stage.CLEAN.queue_name),
    # What beat schedules: repairs, replays of the lake and of dead letters.
    Role.MAINTENANCE: _pool(MAINTENANCE, *(name.replace(".", r"\.") for name in _DEAD)),
    # The schedule goes to one queue by its name, the probe through the exchange.
    Role.BEAT: Permission(write=_names(DEFAULT_EXCHANGE, LOGS.name, *_SEEN)),
    Role.FLOWER: Permission(
        configure=_names(CONTROL, EVENTS),
        write=_names(CONTROL, EVENTS),
        read=_names(CONTROL, EVENTS),
        tags=("monitoring",),
    ),
    # Depths are seen; dead letters are shown by their reasons, and given back.
    Role.WEB: Permission(write=_names(*_SEEN), read=r"^queue-.+\.dead$"),
    Role.OPERATOR: Permission(
        write=_names(DEFAULT_EXCHANGE, *_SEEN), read=r"^queue-.+\.dead$", tags=("monitoring",)
    ),
    Role.ADMIN: Permission(configure=".*", write=".*", read=".*", tags=("administrator",)),
}
