"""Each role of the broker does its work without the right to declare, and nothing else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from amqp.exceptions import AccessRefused
from pydantic import SecretStr

from pipeline import dead, publish
from pipeline.batch import Batch, Source
from pipeline.definitions import definitions, user_name
from pipeline.depths import queue_depths
from pipeline.errors import ConfigurationError
from pipeline.permissions import Role
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.services import PrivateRabbit, wait_until

pytestmark = pytest.mark.slow

VHOST = "sluice"
LAKE, CLEAN = Stage.LAKE.queue_name, Stage.CLEAN.queue_name
BATCH = Batch(Source(key="ab" * 16, host="web-1", path="/var/log/access.log"), 0, b"line\n")
PASSWORDS = {role: f"secret-of-{role.value}" for role in Role}


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateRabbit]:
    """A node that holds what the definitions say, and no other user."""
    with PrivateRabbit() as rabbit:
        path = rabbit.folder / "definitions.json"
        path.write_text(json.dumps(definitions(VHOST, PASSWORDS)))
        rabbit.ctl("import_definitions", str(path))
        rabbit.ctl("delete_user", "guest")
        yield rabbit


def settings_of(node: PrivateRabbit, role: Role, tmp_path: Path, password: str | None = None) -> Settings:
    """Return the settings of a process with a role."""
    word = PASSWORDS[role] if password is None else password
    url = f"amqp://{user_name(role)}:{word}@127.0.0.1:{node.port}/{VHOST}"
    return Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(url))


def to(exchange: str, key: str) -> Callable[[Any], Any]:
    """Return the operation that publishes to an exchange."""
    return lambda channel: kombu.Producer(channel).publish(b"x", exchange=exchange, routing_key=key)


#: What one may try on the broker.
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "publish a batch": to("logs", "nowhere"),
    "publish to a queue": to("", "no-such-queue"),
    "send remote control": to("celery.pidbox", ""),
    "send an event": to("celeryev", "worker.heartbeat"),
    "read lake": lambda channel: channel.basic_get(LAKE),
    "read clean": lambda channel: channel.basic_get(CLEAN),
    "read maintenance": lambda channel: channel.basic_get("queue-maintenance"),
    "read lake's dead": lambda channel: channel.basic_get(f"{LAKE}.dead"),
    "read clean's dead": lambda channel: channel.basic_get(f"{CLEAN}.dead"),
    "purge lake": lambda channel: channel.queue_purge(LAKE),
    "delete lake": lambda channel: channel.queue_delete(LAKE, if_unused=True, if_empty=True),
    "delete the exchange": lambda channel: channel.exchange_delete("logs", if_unused=True),
    "unbind clean": lambda channel: channel.queue_unbind(CLEAN, "logs", "other"),
    "make a queue": lambda channel: channel.queue_declare("mine", exclusive=True),
    "bind a queue of its own": lambda channel: channel.queue_bind(LAKE, "logs", "other"),
    "see that a queue is there": lambda channel: channel.queue_declare(LAKE, passive=True),
}
_SEES = {"see that a queue is there"}
_POOL = {*_SEES, "publish to a queue", "send remote control", "send an event"}
#: What each role may; everything else is refused.
ALLOWED = {
    Role.WATCHER: {*_SEES, "publish a batch"},
    Role.LAKE: {*_POOL, "read lake", "purge lake"},
    Role.CLEAN: {*_POOL, "read clean"},
    Role.MAINTENANCE: {*_POOL, "read maintenance", "read lake's dead", "read clean's dead"},
    Role.BEAT: {*_SEES, "publish a batch", "publish to a queue"},
    Role.FLOWER: {"send remote control", "send an event"},
    Role.WEB: {*_SEES, "read lake's dead", "read clean's dead"},
    Role.OPERATOR: {*_SEES, "publish to a queue", "read lake's dead", "read clean's dead"},
}  # fmt: skip


def may(settings: Settings, operation: Callable[[Any], Any]) -> bool:
    """Tell whether the broker lets these settings' user do it."""
    with connect(settings) as connection:
        try:
            with connection.channel() as channel:
                operation(channel)
        except AccessRefused:
            return False
    return True


@pytest.fixture(scope="module")
def control(node: PrivateRabbit) -> PrivateRabbit:
    """The node with the exchanges that Celery's processes declare for themselves."""
    url = f"amqp://{user_name(Role.LAKE)}:{PASSWORDS[Role.LAKE]}@127.0.0.1:{node.port}/{VHOST}"
    with kombu.Connection(url) as connection, connection.channel() as channel:
        channel.exchange_declare("celery.pidbox", "fanout", durable=False, auto_delete=False)
        channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
    return node


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_its_work_and_nothing_else(control: PrivateRabbit, role: Role, tmp_path: Path) -> None:
    """Of sixteen operations the broker allows each role exactly those of its row."""
    settings = settings_of(control, role, tmp_path)

    allowed = {name for name, operation in OPERATIONS.items() if may(settings, operation)}
    # Before 4.2.6 RabbitMQ shows a queue to everyone.
    assert allowed in (ALLOWED[role], ALLOWED[role] | _SEES)


def test_guest_and_wrong_passwords_stay_outside(node: PrivateRabbit, tmp_path: Path) -> None:
    """Neither the user that RabbitMQ comes with nor a role with another's password gets in."""
    guest = Settings.from_environment(state_dir=tmp_path, broker_url=SecretStr(node.url))
    thief = settings_of(node, Role.ADMIN, tmp_path, PASSWORDS[Role.WATCHER])

    for settings in (guest, thief):
        with pytest.raises(ConfigurationError, match="user or password is wrong"):
            publish.check(settings)


def test_roles_see_their_virtual_host_only(node: PrivateRabbit, tmp_path: Path) -> None:
    """The virtual host that RabbitMQ comes with is closed to every role."""
    url = f"amqp://{user_name(Role.WATCHER)}:{PASSWORDS[Role.WATCHER]}@127.0.0.1:{node.port}//"
    settings = Settings.from_environment(state_dir=tmp_path, broker_url=SecretStr(url))

    with pytest.raises(ConfigurationError, match="virtual host"):
        publish.check(settings)


def test_the_watcher_publishes_without_the_right_to_declare(node: PrivateRabbit, tmp_path: Path) -> None:
    """A batch of the restricted watcher is in both queues; the operator counts, buries and replays it."""
    with Publisher(settings_of(node, Role.WATCHER, tmp_path)) as publisher:
        publisher.publish(BATCH)
    operator = settings_of(node, Role.OPERATOR, tmp_path)
    wait_until(lambda: queue_depths(operator)[CLEAN].messages == 1, "the batch in clean")
    assert queue_depths(operator)[LAKE].messages == 1

    for role, queue in ((Role.CLEAN, CLEAN), (Role.LAKE, LAKE)):
        with connect(settings_of(node, role, tmp_path)) as connection, connection.channel() as channel:
            kombu.Queue(queue, no_declare=True)(channel).get(accept=["msgpack"]).reject()

    for queue in (LAKE, CLEAN):
        wait_until(lambda queue=queue: queue_depths(operator)[queue].dead == 1, "the dead letter")
        assert [letter.batch for letter in dead.browse(operator, queue)] == [BATCH]
        assert dead.replay(operator, queue, lambda _: True) == 1
        with connect(settings_of(node, Role.ADMIN, tmp_path)) as connection, connection.channel() as channel:
            channel.queue_purge(queue)


def test_a_queue_that_is_gone_is_named_to_who_may_not_make_it(node: PrivateRabbit, tmp_path: Path) -> None:
    """The message names the queue and the command; the definitions bring it back."""
    admin = settings_of(node, Role.ADMIN, tmp_path)
    with connect(admin) as connection, connection.channel() as channel:
        channel.queue_delete(CLEAN)

    with pytest.raises(ConfigurationError, match=rf"{CLEAN}.*provision rabbitmq"):
        publish.check(settings_of(node, Role.WATCHER, tmp_path))

    node.ctl("import_definitions", str(node.folder / "definitions.json"))
    publish.check(settings_of(node, Role.WATCHER, tmp_path))
    publish.check(admin)


def test_definitions_hold_no_password(tmp_path: Path) -> None:
    """Users come with salted hashes; two of the same password differ."""
    first, second = (json.dumps(definitions(VHOST, PASSWORDS)) for _ in range(2))

    assert not [word for word in PASSWORDS.values() if word in first]
    assert first != second
