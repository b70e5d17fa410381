"""Doubles that implement the Protocols of the pipeline."""

from collections import defaultdict

from pipeline.batch import Batch
from pipeline.errors import BrokerUnavailable


class FakePublisher:
    """A broker in memory: keeps every confirmed batch, and refuses as many as it is told to.

    Attributes:
        batches: what was confirmed, in order.
        refuse_count: so many of the next publishes are refused.
        forget_count: so many of the next publishes are taken, but their confirm never comes.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.refuse_count = 0
        self.forget_count = 0

    def publish(self, batch: Batch) -> None:
        """Keep the batch, or refuse it."""
        if self.refuse_count:
            self.refuse_count -= 1
            raise BrokerUnavailable("refused as told")
        self.batches.append(batch)
        if self.forget_count:
            self.forget_count -= 1
            raise BrokerUnavailable("the confirm is lost as told")

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
