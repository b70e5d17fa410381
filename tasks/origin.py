"""Where the bytes of a source may be: the file that it was read from, its checkpoint, its dead letters."""

import os
from collections.abc import Iterator
from typing import Self

from pipeline.archive import is_archive, open_content
from pipeline.blocks import Cutter, Limits
from pipeline.content import PlainFile, RefusedFile
from pipeline.dead import scan
from pipeline.errors import PipelineError
from pipeline.fingerprint import Content
from pipeline.generation import Generation
from pipeline.settings import Settings
from pipeline.topology import Stage
from pipeline.watch import Finder


class OriginLost(PipelineError):  # noqa: N818 - an outcome of a repair
    """The bytes are no longer in the file."""


class _Part:
    """The first `end` bytes of a content."""

    def __init__(self, content: Content, end: int) -> None:
        self._content = content
        self._end = end

    def read(self, size: int, offset: int) -> bytes:
        return self._content.read(min(size, self._end - offset), offset)

    def size(self) -> int:
        return min(self._content.size(), self._end)

    def next_written(self, offset: int) -> int:
        return min(self._content.next_written(offset), self._end)

    def stat(self) -> os.stat_result:
        return self._content.stat()

    def place(self) -> str:
        return self._content.place()

    def close(self) -> None:
        self._content.close()


class Origin:
    """The file of a source; a context manager.

    Raises:
        OriginLost: at its start, when the file is gone, is not readable, or holds other bytes now.
    """

    def __init__(self, settings: Settings, generation: Generation | None) -> None:
        if generation is None:
            raise OriginLost("its file is not one of this state folder")
        self._settings = settings
        self._content = _opened(settings, generation)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer at the end only."""
        return self._content.read(size, offset)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes [start, end) as blocks of whole lines.

        Raises:
            OriginLost: the file ends before.
        """
        settings = self._settings
        limits = Limits(settings.batch_count, settings.batch_byte_size, settings.max_line_bytes)
        cutter, part = Cutter(limits), _Part(self._content, end)
        while start < end:
            block = cutter.next(part, start, flush=True)
            if not block:
                raise OriginLost(f"the file ends at byte {start}")
            yield block
            start += len(block)


def _opened(settings: Settings, generation: Generation) -> Content:
    reasons = []
    for path in _places(settings, generation):
        try:
            content = open_content(path, PlainFile(path, follow_links=settings.follow_links))
        except FileNotFoundError:
            reasons.append("the file is gone")
        except RefusedFile as refused:
            reasons.append(str(refused))
        except OSError as error:
            reasons.append(f"the file cannot be read: {error.strerror}")
        else:
            if generation.fingerprint.matches(content):
                return content
            content.close()
            reasons.append("the file holds other bytes now")
    raise OriginLost(reasons[0])


def _places(settings: Settings, generation: Generation) -> Iterator[str]:
    """Yield where the bytes may be: where the file was last, where a rename put it, what compressed it."""
    yield generation.path
    finder = Finder([generation.path], follow_links=settings.follow_links)
    moved = finder.locate(generation.device, generation.inode, generation.path)
    if moved is not None and moved.path != generation.path:
        yield moved.path
    for sighting in finder.around(generation.path):
        if is_archive(sighting.path) and sighting.path.startswith(generation.path):
            yield sighting.path


def dead_ranges(settings: Settings, stage: Stage) -> dict[str, list[tuple[int, int]]]:
    """Return the byte ranges in the dead letters of a stage, in order, by source key.

    Raises:
        BrokerUnavailable: the broker does not answer.
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for letter in scan(settings, stage.queue_name):
        if letter.batch is not None:
            ranges.setdefault(letter.batch.source.key, []).append((letter.batch.start, letter.batch.end))
    return {key: sorted(found) for key, found in ranges.items()}
