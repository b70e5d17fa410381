"""Dead letters without one subject's lines: each batch published again with stars in their place.

A message cannot be changed where it lies. So its changed twin goes to the end of the same dead-letter queue,
confirmed by the broker, and only then the original is forgotten. Stopped between the two, both are there,
and the next call blanks the original again: a stage stores a range once.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import kombu
import zstandard

from pipeline import dead, protocol, signing, topology
from pipeline.batch import MAX_BLOCK_BYTES, Batch
from pipeline.dead import FAILURE_HEADER, DeadLetter
from pipeline.formats.redaction import MASK
from pipeline.publish import CONFIRM_SECONDS
from pipeline.settings import Settings
from pipeline.subject import Subject, blanked, readable

#: Headers that the broker writes itself.
_OF_THE_BROKER = ("x-death", "x-delivery-count")


@dataclass(frozen=True, slots=True)
class Stuck:
    """A dead letter that a person must look at: it holds the value, or nobody can tell.

    Attributes:
        why: "holds the value and is no batch of ours", or "cannot be read".
    """

    queue: str
    id: str
    size_bytes: int
    why: str


@dataclass(slots=True)
class Blanked:
    """What became of the dead letters of a queue.

    Attributes:
        messages: that held the value and hold it no more; with a dry run, those that would.
        lines: of them.
        stuck: what stays as it is.
    """

    messages: int = 0
    lines: int = 0
    stuck: list[Stuck] = field(default_factory=list)


#: Sees to it that lines are never stored, before they are gone from a dead letter.
Forget = Callable[[Sequence[Batch]], None]


def blank(settings: Settings, queue: str, subject: Subject, forget: Forget | None) -> Blanked:
    """Take a subject's lines out of the dead letters of a live queue; without `forget` it is a dry run.

    Raises:
        BrokerUnavailable: what was changed before stays so; a second call goes on.
    """
    blanked_ = Blanked()
    with dead.open_channel(settings) as channel:
        for message in dead.messages(channel, queue):
            letter = dead.describe(settings, queue, message)
            lines = _lines(letter.batch, subject)
            failure = message.headers.get(FAILURE_HEADER)
            told = letter.batch is not None and subject.holds(json.dumps(failure, default=str))
            if lines or told:
                blanked_.messages += 1
                blanked_.lines += len(lines)
                if forget is not None:
                    forget(lines)
                    _replace(settings, channel, message, letter, lines, told=told)
            elif why := _why_stuck(letter, message, subject):
                blanked_.stuck.append(Stuck(queue, letter.id, letter.size_bytes, why))
    return blanked_


def _lines(batch: Batch | None, subject: Subject) -> list[Batch]:
    if batch is None:
        return []
    return [batch.slice(batch.start + low, batch.start + high) for low, high in subject.lines_of(batch.block)]


def _replace(
    settings: Settings, channel: Any, message: Any, letter: DeadLetter, lines: Sequence[Batch], *, told: bool
) -> None:
    assert letter.batch is not None, "only a batch has lines"
    start = letter.batch.start
    block = blanked(letter.batch.block, [(line.start - start, line.end - start) for line in lines])
    batch = Batch(letter.batch.source, start, block)
    headers = {name: value for name, value in message.headers.items() if name not in _OF_THE_BROKER}
    if told:
        headers[FAILURE_HEADER] = dict.fromkeys(headers[FAILURE_HEADER], MASK)
    body = protocol.body(signing.signed(batch.encode(), settings.signing_keys))
    _publish(channel, letter.queue, message, body, headers)
    message.ack()


def _publish(channel: Any, queue: str, message: Any, body: Any, headers: dict[str, Any]) -> None:
    kombu.Producer(channel).publish(
        body,
        exchange="",
        routing_key=topology.dead_name(queue),
        serializer="msgpack",
        headers=headers,
        delivery_mode="persistent",
        mandatory=True,
        confirm_timeout=CONFIRM_SECONDS,
        **{name: message.properties[name] for name in ("correlation_id",) if name in message.properties},
    )


def _why_stuck(letter: DeadLetter, message: Any, subject: Subject) -> str | None:
    if letter.batch is not None:
        return None
    try:
        texts = [*_texts(message.decode()), *_texts(message.headers)]
    except Exception:  # noqa: BLE001 - a body of any bytes and any content type
        return "cannot be read"
    held = any(subject.holds(text) for text in texts)
    return "holds the value and is no batch of ours" if held else None


def _texts(value: Any) -> Iterator[str]:
    """Yield every text of a message, bytes too, and what is packed in them.

    Raises:
        ZstdError: what looks packed cannot be unpacked within the size of a batch.
    """
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(name)
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, bytes):
        packed = value.startswith(zstandard.FRAME_HEADER)
        yield readable(_unpacked(value) if packed else value)
    else:
        yield str(value)


def _unpacked(frame: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
        content = reader.read(MAX_BLOCK_BYTES + 1)
    if len(content) > MAX_BLOCK_BYTES:
        raise zstandard.ZstdError("more than a batch holds")
    return content
