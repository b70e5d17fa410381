"""Who may do what on the broker: one user a role, each with the least that its work needs.

RabbitMQ checks three patterns against the name of an exchange or a queue: `configure` (declare, delete),
`write` (publish, bind a queue), `read` (consume, purge, bind to an exchange). Nobody but the administrator
may configure the exchange `logs` or a queue of ours: they come from the definitions (definitions.py).

Publishing to one queue by its name goes through the default exchange, which RabbitMQ knows as `amq.default`;
who may write to it may write to every queue. The watcher may not.
"""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.topology import LOGS, MAINTENANCE, Stage, dead_name

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
_POOL_WRITE = _names(DEFAULT_EXCHANGE, CONTROL, EVENTS)
_POOL_CONFIGURE = _names(CONTROL, "celeryev")

#: The permission of each role in the virtual host.
PERMISSIONS = {
    Role.WATCHER: Permission(write=_names(LOGS.name)),
    # It does what beat schedules too: repairs, and replays of dead letters.
    Role.LAKE: Permission(
        configure=_POOL_CONFIGURE,
        write=_POOL_WRITE,
        read=_names(
            Stage.LAKE.queue_name, MAINTENANCE, *(name.replace(".", r"\.") for name in _DEAD), CONTROL
        ),
    ),
    Role.CLEAN: Permission(
        configure=_POOL_CONFIGURE, write=_POOL_WRITE, read=_names(Stage.CLEAN.queue_name, CONTROL)
    ),
    # The schedule goes to one queue by its name, the probe through the exchange.
    Role.BEAT: Permission(write=_names(DEFAULT_EXCHANGE, LOGS.name)),
    Role.FLOWER: Permission(
        configure=_names(CONTROL, EVENTS),
        write=_names(CONTROL, EVENTS),
        read=_names(CONTROL, EVENTS),
        tags=("monitoring",),
    ),
    # Depths need no right; dead letters are shown by their reasons, and given back.
    Role.WEB: Permission(read=r"^queue-.+\.dead$"),
    Role.OPERATOR: Permission(write=_names(DEFAULT_EXCHANGE), read=r"^queue-.+\.dead$", tags=("monitoring",)),
    Role.ADMIN: Permission(configure=".*", write=".*", read=".*", tags=("administrator",)),
}
