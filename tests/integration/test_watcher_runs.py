"""Batches that wait for their confirms together: when, how many, and what a failure in the middle leaves."""

import gzip
import os

import pytest

from pipeline import tail
from tests.doubles import FakePublisher
from tests.integration.shipper import LIMITS, Shipper, lines

#: Lines of so many full batches, and of a rest.
FULL = LIMITS.line_count


def runs(publisher: FakePublisher) -> list[int]:
    """Return how many batches each publish had."""
    return [len(batches) for batches in publisher.asked]


def test_a_flood_in_one_file_is_published_four_at_a_time(shipper: Shipper) -> None:
    """Full batches wait for their confirms together, a smaller one ends the run, no line is missing."""
    shipper.append("a.log", lines(0, 6 * FULL + 10))
    shipper.work()

    assert runs(shipper.publisher) == [4, 3]
    assert [batch.line_count for batch in shipper.publisher.batches] == [FULL] * 6 + [10]
    assert shipper.publisher.text() == lines(0, 6 * FULL + 10)


def test_a_run_is_bounded_in_bytes(shipper: Shipper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large batches come in shorter runs, so that what is in memory stays bounded."""
    monkeypatch.setattr(tail, "RUN_BYTES", 2 * LIMITS.byte_size)
    shipper.append("a.log", lines(0, 5 * FULL))
    shipper.work()

    assert runs(shipper.publisher) == [2, 2, 1]


def test_an_archive_is_read_a_batch_at_a_time(shipper: Shipper) -> None:
    """A look behind the offset would unfold it from its beginning again, for each batch of a run."""
    shipper.append("a.log.gz", gzip.compress(lines(0, 5 * FULL)))
    shipper.kill()
    shipper.start(once=True)
    shipper.work()

    assert runs(shipper.publisher) == [1] * 5
    assert shipper.publisher.text() == lines(0, 5 * FULL)


def test_a_file_beside_a_flood_gets_its_turn_after_one_batch(shipper: Shipper) -> None:
    """While two files have lines, neither has more than a batch at a time."""
    shipper.append("a.log", lines(0, 3 * FULL))
    shipper.append("b.log", lines(0, 3 * FULL))
    shipper.work()

    assert runs(shipper.publisher) == [1] * 6
    assert len({batch.source.key for batch in shipper.publisher.batches[:2]}) == 2


def test_what_was_confirmed_of_a_run_is_not_published_again(shipper: Shipper) -> None:
    """A refusal in the middle leaves what was confirmed alone; the rest is repeated, first one by itself."""
    shipper.publisher.refuse_from = 2
    shipper.append("a.log", lines(0, 4 * FULL))
    shipper.loop.step(shipper.clock)
    assert shipper.loop.blocked
    offset = shipper.status()["a.log"].offset
    shipper.work(20)

    assert offset == len(lines(0, 2 * FULL))
    assert runs(shipper.publisher) == [4, 1, 1]
    starts = [batch.start for batch in shipper.publisher.batches]
    assert starts[:2] + starts[4:] == sorted(set(starts)), "the first two came once"
    assert shipper.publisher.text() == lines(0, 4 * FULL)


def test_a_broker_that_refuses_on_gets_one_batch_a_time(shipper: Shipper) -> None:
    """However often it refuses, no more than one batch is sent to it again."""
    shipper.publisher.forget_count = 5
    shipper.append("a.log", lines(0, 4 * FULL))
    shipper.work(120)

    assert runs(shipper.publisher) == [4, 1, 1, 1, 1, 1, 3]
    assert shipper.publisher.text() == lines(0, 4 * FULL)


def test_a_lost_confirm_repeats_what_was_taken(shipper: Shipper) -> None:
    """Batches that the broker took without a confirm are published again with the same bytes."""
    shipper.publisher.forget_count = 1
    shipper.append("a.log", lines(0, 3 * FULL))
    shipper.work(20)

    starts = [batch.start for batch in shipper.publisher.batches]
    assert starts == 2 * sorted(set(starts))
    assert runs(shipper.publisher) == [3, 1, 2]
    assert shipper.publisher.text() == lines(0, 3 * FULL)


def test_a_file_cut_off_under_a_run_keeps_what_was_read(shipper: Shipper) -> None:
    """Blocks in memory are published after a truncation; what was written anew is another source."""
    shipper.append("a.log", lines(0, 1))
    shipper.work()
    shipper.publisher.refuse_count = 1
    path = shipper.append("a.log", lines(1, 3 * FULL))
    shipper.clock += 1.0
    shipper.loop.step(shipper.clock)
    assert shipper.loop.blocked
    os.truncate(path, 0)
    shipper.append("a.log", lines(5 * FULL, 6 * FULL))
    shipper.work(20)

    assert list(shipper.publisher.sources().values()) == [lines(0, 3 * FULL), lines(5 * FULL, 6 * FULL)]
    assert shipper.lost_bytes() == 0
