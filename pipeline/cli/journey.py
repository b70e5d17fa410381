"""One run, from the first byte read to the proof: it looks, mends what does not arrive, drains at the end."""

import time

from pipeline.cli import output
from pipeline.cli.children import BEAT, EXPORTER, POOLS, WATCHER
from pipeline.cli.interruption import Interruption
from pipeline.cli.mender import Mender
from pipeline.cli.progress import Display, Reach
from pipeline.cli.reach import Lookout
from pipeline.cli.supervisor import CONFIGURATION_EXIT, Child, Supervisor
from pipeline.errors import ConfigurationError, PipelineError, TransientError

#: Time between two looks, in seconds.
LOOK_SECONDS = 0.2
#: Starts in a row that fail; then a run that should end by itself fails. With the waits: about a minute.
START_ATTEMPTS = 7
#: Time for what is queued to be stored after Ctrl-C, and for children to end when asked, in seconds.
DRAIN_SECONDS, STOP_SECONDS = 30.0, 30.0


class Journey:
    """One run; its children are started by the caller, and stopped here."""

    def __init__(
        self,
        supervisor: Supervisor,
        lookout: Lookout,
        mender: Mender,
        interruption: Interruption,
        *,
        once: bool,
    ) -> None:
        self._supervisor = supervisor
        self._lookout = lookout
        self._mender = mender
        self._interruption = interruption
        self._once = once
        self._reach: Reach | None = None

    def travel(self, display: Display) -> None:
        """Return when it is interrupted, or (once) when both stages hold all that the watcher confirmed.

        It also returns when what is missing cannot be had any more; the summary then says how much that is.

        Raises:
            ConfigurationError: a child cannot start with this configuration.
            PipelineError: a child of a run with `once` fails at each start.
        """
        while not self._arrived() and not self._interruption.asked.wait(LOOK_SECONDS):
            self._supervisor.tick()
            for child in self._supervisor.children.values():
                self._raise_for(child)
            self._look(display)
        if self._interruption.asked.is_set():
            self._drain(display)

    def stop_children(self) -> bool:
        """Stop every child in order, and return whether each ended as it may."""
        self._supervisor.stop((WATCHER, BEAT), STOP_SECONDS)
        self._supervisor.stop((*POOLS, EXPORTER), STOP_SECONDS)
        return all(child.well for child in self._supervisor.children.values())

    def _arrived(self) -> bool:
        watcher = self._supervisor.children[WATCHER]
        if not self._once or watcher.ended != 0 or self._reach is None:
            return False
        return self._reach.complete or self._mender.exhausted

    def _raise_for(self, child: Child) -> None:
        name, last = child.recipe.name, "\n".join(child.log.last)
        if child.ended == CONFIGURATION_EXIT:
            raise ConfigurationError(f"{name} cannot start:\n{last}")
        if self._once and child.failures >= START_ATTEMPTS:
            raise PipelineError(f"{name} failed {child.failures} times in a row ({child.log.path}):\n{last}")

    def _look(self, display: Display) -> None:
        try:
            self._reach = self._lookout.look()
            display.show(self._reach)
            self._mender.mend(self._reach)
        except TransientError as error:
            # The pools wait for it as well; what was seen before is out of date now.
            self._reach = None
            self._mender.say(f"waiting: {error}")

    def _drain(self, display: Display) -> None:
        self._supervisor.stop((WATCHER, BEAT), STOP_SECONDS)
        deadline = time.monotonic() + DRAIN_SECONDS
        self._look(display)
        while not (self._reach and self._reach.complete) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            self._supervisor.tick()
            self._look(display)
        if not (self._reach and self._reach.complete):
            output.say("stopped before all that is queued was stored; the next run goes on from here")
