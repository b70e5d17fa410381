"""Dead letters: look at them, publish them to their queue again, or remove them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import kombu
from kombu.serialization import prepare_accept_content

from pipeline import signing, topology
from pipeline.batch import ENVELOPE_VERSION, Batch
from pipeline.faults import translated
from pipeline.formats import FORMATS
from pipeline.publish import CONFIRM_SECONDS, connect
from pipeline.settings import Settings

#: Header that a stage writes on a message that it gives up: a map of `reason`, `traceback` and `reader`.
FAILURE_HEADER = "sluice_failure"
#: Header that counts how often a dead letter was published again.
REPLAYS_HEADER = "sluice_replays"
#: Header that counts the tries of a batch that fails for no known reason.
ATTEMPTS_HEADER = "sluice_attempts"
#: What must not travel into a message's next life: a message with a failure would be rejected on sight.
PAST_HEADERS = (
    FAILURE_HEADER,
    ATTEMPTS_HEADER,
    "x-death",
    "x-delivery-count",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-first-death-exchange",
)


def reader() -> str:
    """Return what this version can read: the envelope and the formats, each with its version."""
    formats = (f"{name} {format_.version}" for name, format_ in sorted(FORMATS.items()))
    return "; ".join((f"envelope {ENVELOPE_VERSION}", *formats))


@dataclass(frozen=True)
class DeadLetter:
    """A rejected message, kept.

    Attributes:
        queue: the live queue that it was rejected from.
        id: its task id, or "" where it has none.
        reason: what happened, for people.
        traceback: of the error, or "".
        reader: what the version that gave it up could read (`reader`), or "" where that is not known.
        replays: how often it was published again already.
        size_bytes: of its body.
        batch: what it carries, or None where this version cannot read it or our key did not sign it.
    """

    queue: str
    id: str
    reason: str
    traceback: str
    reader: str
    replays: int
    size_bytes: int
    batch: Batch | None

    @property
    def signature(self) -> str:
        """The reason with numbers and names taken out: dead letters of one cause share it."""
        return re.sub(r"0x[0-9a-f]+|<[^<>]*>|'[^']*'|\d+", "…", self.reason)


#: Chooses dead letters.
Choice = Callable[[DeadLetter], bool]


def browse(settings: Settings, queue: str) -> list[DeadLetter]:
    """Return the dead letters of a live queue, oldest first; they stay where they are.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    return list(scan(settings, queue))


def scan(settings: Settings, queue: str) -> Iterator[DeadLetter]:
    """Yield the dead letters of a live queue one at a time, oldest first; they stay where they are.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    with open_channel(settings) as channel:
        for message in messages(channel, queue):
            yield describe(settings, queue, message)


def replay(settings: Settings, queue: str, choose: Choice) -> int:
    """Publish the chosen dead letters to their queue again, then forget them; return how many.

    Stopped half-way, a message may be in both places: its stage stores it once.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """

    def publish(channel: Any, message: Any) -> None:
        headers = {name: value for name, value in message.headers.items() if name not in PAST_HEADERS}
        headers[REPLAYS_HEADER] = _replays(message) + 1
        kombu.Producer(channel).publish(
            message.body,
            exchange="",
            routing_key=queue,
            headers=headers,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            delivery_mode="persistent",
            mandatory=True,
            confirm_timeout=CONFIRM_SECONDS,
            **{name: message.properties[name] for name in ("correlation_id",) if name in message.properties},
        )

    return _take(settings, queue, choose, publish)


def purge(settings: Settings, queue: str, choose: Choice) -> int:
    """Remove the chosen dead letters for good; return how many.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    return _take(settings, queue, choose, lambda _channel, _message: None)


def _take(settings: Settings, queue: str, choose: Choice, act: Callable[[Any, Any], None]) -> int:
    count = 0
    with open_channel(settings) as channel:
        for message in messages(channel, queue):
            if choose(describe(settings, queue, message)):
                act(channel, message)
                message.ack()
                count += 1
    return count


@contextmanager
def open_channel(settings: Settings) -> Iterator[Any]:
    """Yield a channel on which every queue is there; its end gives back what was not acknowledged.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    connection = connect(settings)
    with translated(connection), connection:
        topology.declare(connection)
        with connection.channel() as channel:
            yield channel


def messages(channel: Any, queue: str) -> Iterator[Any]:
    """Yield the dead letters of a live queue, oldest first, to be acknowledged or left."""
    # As many as wait now: what is rejected meanwhile belongs to the next look.
    dead = kombu.Queue(topology.dead_name(queue), no_declare=True)(channel)
    waiting = channel.queue_declare(queue=dead.name, passive=True).message_count
    for _ in range(waiting):
        # Not `Queue.get`, which raises for a message that it cannot read and so hides those behind it.
        found = channel.basic_get(dead.name, no_ack=False)
        if found is None:
            return
        message = channel.message_to_python(found)
        message.accept = prepare_accept_content(["msgpack", "json"])
        yield message


def describe(settings: Settings, queue: str, message: Any) -> DeadLetter:
    """Return what a message of a dead-letter queue is."""
    headers = message.headers or {}
    failure = headers.get(FAILURE_HEADER)
    failure = failure if isinstance(failure, dict) else {}
    return DeadLetter(
        queue=queue,
        id=str(headers.get("id", "")),
        reason=str(failure.get("reason") or f"rejected by the broker: {_death(headers)}"),
        traceback=str(failure.get("traceback", "")),
        reader=str(failure.get("reader", "")),
        replays=_replays(message),
        size_bytes=len(message.body or b""),
        batch=_batch(settings, message),
    )


def _death(headers: dict[str, Any]) -> str:
    return str(headers.get("x-first-death-reason", "unknown"))


def _replays(message: Any) -> int:
    count = (message.headers or {}).get(REPLAYS_HEADER, 0)
    return count if isinstance(count, int) else 0


def _batch(settings: Settings, message: Any) -> Batch | None:
    try:
        return Batch.decode(signing.verified(message.decode()[0][0], settings.signing_keys))
    except Exception:  # noqa: BLE001 - a body of any bytes and any content type; it is shown as no batch
        return None
