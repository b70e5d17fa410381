"""Which dead letters are published again without a person."""

from dataclasses import replace

import pytest

from pipeline.batch import Batch, Source
from pipeline.dead import DeadLetter, reader
from tasks.dead import REPLAYS, _is_worth_a_try, _may_be_readable_now

LETTER = DeadLetter(
    queue="queue-data-clean",
    id="t",
    reason="PermanentError: the batch names a format that is not known here",
    traceback="",
    reader=reader(),
    replays=0,
    size_bytes=5,
    batch=Batch(Source("ab" * 16, "web-1", "/logs/a.log"), 0, b"line\n"),
)


@pytest.mark.parametrize(("replays", "worth"), [(0, True), (REPLAYS - 1, True), (REPLAYS, False)])
def test_a_dead_letter_is_tried_a_few_times(replays: int, worth: bool) -> None:
    """The schedule ends when a cause has outlived its tries."""
    assert _is_worth_a_try(replace(LETTER, replays=replays)) is worth


@pytest.mark.parametrize(
    ("reader", "readable"), [(reader(), False), ("", False), ("envelope 1; common 0", True)]
)
def test_another_version_tries_what_an_older_one_gave_up(reader: str, readable: bool) -> None:
    """The version that gave it up does not try at once, one with other formats does, whatever the count."""
    assert _may_be_readable_now(replace(LETTER, reader=reader, replays=REPLAYS)) is readable


def test_what_is_no_batch_stays() -> None:
    """A message that this version cannot read waits for a person or for another version."""
    foreign = replace(LETTER, batch=None, reader="envelope 0")

    assert not _is_worth_a_try(foreign)
    assert not _may_be_readable_now(foreign)
