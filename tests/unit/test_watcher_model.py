"""The watcher against a model of what rotation does to files: nothing lost uncounted, nothing doubled."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.blocks import Limits
from pipeline.checkpoint import CheckpointStore
from pipeline.fingerprint import PREFIX_BYTES
from pipeline.format_choice import FormatChoice
from pipeline.rules import Rules
from pipeline.sources import Sources
from pipeline.watch import Finder
from pipeline.watcher import Loop
from tests.doubles import FakePublisher
from tests.unit.rotating import Writer

#: Small limits, so that short files make many batches, long lines and adapted windows.
LIMITS = Limits(line_count=4, byte_size=256, line_bytes=200)
#: Seconds that pass in a step of the model: every step sweeps, and what it learns is saved.
STEP_SECONDS = 1.1

pytestmark = pytest.mark.timeout(900)  # a failure is made small by many more runs


class RotationModel(Writer, RuleBasedStateMachine):
    """Writes, rotations, truncations, nacks and crashes in any order, on real files, by a false clock."""

    @initialize(pattern=st.sampled_from(["app.log", "app.log*"]))
    def start(self, pattern: str) -> None:
        """Begin with an empty folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-model-"))
        (self.folder / "logs").mkdir()
        # In memory where there is such a folder: the fsync of every step is not what is tested here.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.state = Path(tempfile.mkdtemp(prefix="sluice-model-", dir=memory))
        self.pattern = str(self.folder / "logs" / pattern)
        self.publisher = FakePublisher()
        self.streams = []
        self.names = {}
        self.clock = 1000.0
        self.line_number = 0
        self.unsure = False
        self.open_watcher()

    def open_watcher(self) -> None:
        """Start a watcher on the state folder."""
        self.store = CheckpointStore(self.state / "checkpoint")
        self.sources = Sources(Finder([self.pattern]), self.store, Rules("host", FormatChoice(), LIMITS))
        self.loop = Loop(
            self.sources,
            self.store,
            self.publisher,
            sweep_seconds=1.0,
            period_seconds=0.05,
            sweep_share=float("inf"),  # every step must sweep, however slow the machine is
        )

    def teardown(self) -> None:
        """Settle, compare, and delete the folder."""
        if not hasattr(self, "folder"):
            return
        try:
            self.settle()
            self.compare()
        finally:
            self.sources.close()
            self.store.close()
            shutil.rmtree(self.folder)
            shutil.rmtree(self.state)

    @property
    def held(self) -> set[int]:
        """Inodes that the watcher holds open: none of them can be given to another file."""
        return {tail.inode for tail in self.sources.tails.values() if tail.content is not None}

    @rule(lengths=st.lists(st.sampled_from([0, 3, 40, 190, 200, 450]), min_size=1, max_size=6))
    def write_lines(self, lengths: list[int]) -> None:
        """Append whole lines, a few of them over the limit."""
        self.write(b"".join(self.fresh(length) + b"\n" for length in lengths))

    @rule(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=12))
    def write_more_lines(self, lengths: list[int]) -> None:
        """Append whole lines."""
        self.write_lines(lengths)

    @rule(length=st.sampled_from([1, 30, 199, 420, 1100]))
    def write_part(self, length: int) -> None:
        """Append a line without its newline."""
        self.write(self.fresh(length))

    @precondition(lambda self: "app.log" in self.names)
    @rule(late=st.booleans())
    def rename_rotate(self, *, late: bool) -> None:
        """Rotate by rename; the new file comes at once or with the next write."""
        self.shift()
        self.rename("app.log", "app.log.1")
        if not late:
            self.write(b"")

    @precondition(lambda self: "app.log.1" in self.names and not self.names["app.log.1"].copied)
    @rule()
    def write_late(self) -> None:
        """Append to the renamed file, as a writer does that was not told yet."""
        self.write(self.fresh(10) + b"\n", "app.log.1")

    @precondition(lambda self: "app.log" in self.names and self.names["app.log"].lined)
    @rule(window=st.integers(0, 2), look=st.booleans())
    def copytruncate(self, window: int, *, look: bool) -> None:
        """Rotate by copy and truncate; lines may be written, and seen, between the two."""
        self.shift()
        stream = self.names["app.log"]
        shutil.copyfile(self.path("app.log"), self.path("app.log.1"))
        kept = stream.kept
        for _ in range(window):
            self.write(self.fresh(5) + b"\n")
        if look:
            self.look()
        self.cut()
        self.names["app.log.1"] = stream
        stream.kept, stream.inode = kept, self.path("app.log.1").stat().st_ino
        stream.copied = True

    @precondition(lambda self: "app.log" in self.names)
    @rule(regrow=st.booleans())
    def truncate(self, *, regrow: bool) -> None:
        """Truncate in place, and perhaps write more than there was before anyone looks."""
        stream = self.names["app.log"]
        size, stream.kept = stream.kept, 0
        self.cut()
        if regrow:
            self.write(self.fresh(size) + b"\n")

    @precondition(lambda self: "app.log" in self.names)
    @rule(again=st.booleans())
    def delete(self, *, again: bool) -> None:
        """Delete the log, and perhaps make it anew, often with the same inode."""
        self.forget_name("app.log")
        if again:
            self.write_lines([3])

    @precondition(lambda self: "app.log" in self.names)
    @rule()
    def replace(self) -> None:
        """Put another file in the place of the log."""
        self.write(self.fresh(20) + b"\n", "app.new")
        self.forget_name("app.log")
        self.rename("app.new", "app.log")

    @precondition(lambda self: "app.log.1" in self.names)
    @rule()
    def compress(self) -> None:
        """Compress the rotated file, as gzip does: the time is kept, the original goes."""
        self.line_number += 1
        plain, packed = self.path("app.log.1"), self.path(f"app.log.{self.line_number}.gz")
        status = plain.stat()
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        stream = self.names.pop("app.log.1")
        plain.unlink()
        stream.deleted = stream.packed = True

    @rule(count=st.integers(1, 3))
    def poll(self, count: int) -> None:
        """Let the watcher work."""
        for _ in range(count):
            self.look()

    @rule()
    def hint(self) -> None:
        """Let the watcher hear of every name before its next sweep."""
        self.clock += 0.1
        self.mark_seen()
        self.loop.step(self.clock, [str(self.path(name)) for name in ("app.log.1", "app.log")])

    @rule(count=st.integers(1, 4))
    def refuse(self, count: int) -> None:
        """Let the broker refuse batches."""
        self.publisher.refuse_count = count

    @rule(count=st.integers(1, 2))
    def forget_confirms(self, count: int) -> None:
        """Let the broker take batches whose confirm is lost."""
        self.publisher.forget_count = count
        self.unsure = True

    @rule()
    def crash(self) -> None:
        """Kill the watcher and start it again: it knows what the last step saved."""
        self.sources.close()
        self.store.close()
        for stream in self.streams:
            if stream.deleted and not stream.packed:
                stream.kept = 0
            stream.seen = min(stream.seen, stream.saved)
            named = b"\n" in stream.content[: stream.seen] or stream.seen >= PREFIX_BYTES
            if not named and (stream.deleted or not stream.missed):
                stream.seen = 0  # without a first line there is nothing yet to remember it by
        self.open_watcher()

    def look(self) -> None:
        """Let a sweep pass."""
        self.clock += STEP_SECONDS
        self.mark_seen()
        self.loop.step(self.clock)

    def mark_seen(self) -> None:
        """Note what a look can see now, and what a sweep, if one is due, writes down."""
        sweeps = self.clock >= self.loop._next_sweep
        looked = [(n, s) for n, s in self.names.items() if sweeps or n in ("app.log", "app.log.1")]
        for name, stream in looked:
            # A name that no pattern takes is followed if something of the file was seen under one that is.
            known = stream.inode in self.held and stream.seen > 0
            if name == "app.log" or self.pattern.endswith("*") or known:
                stream.seen = max(stream.seen, stream.kept)
                stream.peak = max(stream.peak, stream.seen)
        for stream in self.streams if sweeps else ():
            stream.saved = stream.seen
            stream.missed = stream not in self.names.values()

    def settle(self) -> None:
        """Let the watcher work until there is nothing left to do."""
        self.publisher.refuse_count = self.publisher.forget_count = 0
        for _ in range(12):
            self.look()
            for _ in range(200):
                if self.loop.done:
                    break
                self.clock += 0.06
                self.loop.step(self.clock)
        assert self.loop.done

    def compare(self) -> None:
        """Compare the sources with the streams."""
        published: dict[int, int] = {}
        for key, block in self.publisher.sources().items():
            matching = [s for s in self.streams if s.content.startswith(block)]
            assert len(matching) == 1, (key, block)
            assert id(matching[0]) not in published, f"a stream was read twice: {block!r}"
            published[id(matching[0])] = len(block)
        expected_loss = unseen = 0
        for stream in self.streams:
            expected_loss += max(0, stream.seen - max(published.get(id(stream), 0), stream.kept))
            # What may count as well: a file held open when it was deleted showed more than any sweep saw,
            # and a size that no sweep wrote down was perhaps saved with a confirm.
            most = len(stream.content) if stream.deleted else stream.peak
            unseen += max(0, most - max(published.get(id(stream), 0), stream.kept, stream.seen))
            readable = stream.content[: stream.kept].rfind(b"\n") + 1
            if stream.seen:
                assert published.get(id(stream), 0) >= min(readable, stream.kept), stream
        lost = {g.key: g.lost_bytes for g in self.store.generations.values()}
        # A confirm that was lost with the watcher's memory makes stored bytes count as lost.
        counted = sum(lost.values())
        assert expected_loss <= counted, lost
        assert counted <= expected_loss + unseen or self.unsure, lost

    @invariant()
    def confirmed_only(self) -> None:
        """The checkpoint is never ahead of what the broker took."""
        if not hasattr(self, "store"):
            return
        taken = {key: len(block) for key, block in self.publisher.sources().items()}
        for key, generation in self.store.generations.items():
            assert generation.offset <= taken.get(key, 0)


TestRotationModel = RotationModel.TestCase
TestRotationModel.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "40")),
    stateful_step_count=int(os.environ.get("MODEL_STEPS", "20")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate] if os.environ.get("FAST") else list(Phase),
    print_blob=True,
    # The same examples every time, so that a change is judged and not the dice; MODEL_EXAMPLES rolls them.
    derandomize="MODEL_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
