"""Doubles that implement the Protocols of the pipeline."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.batch import Batch
from pipeline.errors import BrokerUnavailable


class FakePublisher:
    """A broker in memory: keeps every confirmed batch, and refuses as many as it is told to.

    Attributes:
        batches: what was confirmed, in order.
        refuse_count: so many of the next publishes are refused.
        forget_count: so many of the next publishes are taken, but their confirm never comes.
        refuse_from: of the next run, the batch of this number is taken and refused all the same; -1 for none.
        asked: the batches of each call, in order.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.refuse_count = 0
        self.forget_count = 0
        self.refuse_from = -1
        self.asked: list[Sequence[Batch]] = []

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Keep batches, or refuse one and all behind it."""
        self.asked.append(batches)
        for number, batch in enumerate(batches):
            if number == self.refuse_from:
                self.refuse_from = -1
                self.batches += batches[number:]  # as when one of the two queues is full
                raise BrokerUnavailable("refused as told")
            if self.refuse_count:
                self.refuse_count -= 1
                raise BrokerUnavailable("refused as told")
            if self.forget_count:
                self.forget_count -= 1
                self.batches += batches[number:]
                raise BrokerUnavailable("the confirm is lost as told")
            self.batches.append(batch)
            yield batch

    def sources(self) -> dict[str, bytes]:
        """Return what a ledger would hold of each source, by key.

        Raises:
            AssertionError: a batch leaves a gap, or repeats a range with other bytes.
        """
        stored: defaultdict[str, bytearray] = defaultdict(bytearray)
        for batch in self.batches:
            block = stored[batch.source.key]
            assert batch.start <= len(block), f"gap before {batch!r}"
            known = block[batch.start : batch.end]
            assert batch.block.startswith(known), f"other bytes in {batch!r}"
            block += batch.block[len(known) :]
        return {key: bytes(block) for key, block in stored.items()}

    def text(self) -> bytes:
        """Return the stored bytes of all sources, in the order in which the sources appeared."""
        return b"".join(self.sources().values())
