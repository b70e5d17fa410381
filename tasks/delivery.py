"""The single place where an error's class becomes wait, retry, dead letter or acknowledgement.

    returns                 acknowledged by Celery after the commit
    TransientError          wait in the child with backoff, which holds back further deliveries; after
                            `HOLD_SECONDS` go to the end of the own queue and acknowledge; without limit
    ConfigurationError      the same: a missing table or permission fails every batch until a person mends it
    PermanentError          dead letter at once, with its reason
    any other error         `UNKNOWN_ATTEMPTS` tries, then dead letter with its traceback

A message cannot be changed when it is rejected. So a failed one goes once more through its own queue with the
failure in its headers, and is rejected on sight: the broker then keeps batch and reason together.
"""

import logging
import random
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from celery import Task
from celery.exceptions import Reject

from pipeline import failpoint
from pipeline.batch import Batch
from pipeline.dead import ATTEMPTS_HEADER, FAILURE_HEADER, reader
from pipeline.errors import ConfigurationError, PermanentError, TransientError
from pipeline.topology import Stage

T = TypeVar("T")
log = logging.getLogger(__name__)

#: What is not the batch's fault.
WAITS = (TransientError, ConfigurationError)
#: Seconds that a delivery waits in its child for a dependency, before it goes to the end of its queue.
HOLD_SECONDS = 20.0
#: Seconds of the longest single wait between two tries.
LONGEST_WAIT_SECONDS = 8.0
#: Tries of a batch that fails for no known reason.
UNKNOWN_ATTEMPTS = 4


class StageTask(Task):  # type: ignore[misc,unused-ignore]
    """A task that stores batches; a redelivery of the same batch stores nothing twice.

    Acknowledged after the commit. Each task names its `stage`, whose queue is its own.
    """

    abstract = True
    #: Waiting for a dependency has no limit; other errors count in `ATTEMPTS_HEADER`.
    max_retries = None
    Request = "tasks.metrics:StageRequest"
    stage: Stage

    def deliver(self, envelope: Any, store: Callable[[Batch], object]) -> str:
        """Decode and store one delivery; return what was stored, for Flower."""
        failure = self.request.get(FAILURE_HEADER)
        if failure is not None:
            log.error("%s goes to the dead letters: %s", self.request.argsrepr, failure["reason"])
            failpoint.reach(f"{self.name}.rejecting")
            raise Reject(failure["reason"], requeue=False)
        try:
            return self._store(envelope, store)
        except WAITS as error:
            self._again(error)
        except PermanentError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the one place that sorts what nobody foresaw
            self._count(error)

    def _store(self, envelope: Any, store: Callable[[Batch], object]) -> str:
        failpoint.reach(f"{self.name}.started")
        stored = hold(lambda: store(Batch.decode(envelope)))
        failpoint.reach(f"{self.name}.committed")
        return str(stored)

    def _count(self, error: Exception) -> NoReturn:
        attempts = int(self.request.get(ATTEMPTS_HEADER) or 0) + 1
        if attempts >= UNKNOWN_ATTEMPTS:
            self._fail(error)
        log.warning(
            "%s failed, try %d of %d: %s", self.request.argsrepr, attempts, UNKNOWN_ATTEMPTS, _name(error)
        )
        time.sleep(backoff(attempts))
        self._again(error, {ATTEMPTS_HEADER: attempts})

    def _fail(self, error: Exception) -> NoReturn:
        trace = "".join(traceback.format_exception(error))
        reason = f"{type(error).__name__}: {error}" if isinstance(error, PermanentError) else _name(error)
        failure = {"reason": reason, "traceback": trace[-8000:], "reader": reader()}
        self._again(error, {FAILURE_HEADER: failure})

    def _again(self, error: Exception, headers: dict[str, Any] | None = None) -> NoReturn:
        # To the own queue by name, so through the default exchange: the exchange of the first publish would
        # give the other stage a copy. Without a countdown: a delayed message is held unacknowledged.
        # With the first publish's words for the arguments: Celery would write out the lines.
        words = {"argsrepr": self.request.argsrepr, "kwargsrepr": self.request.kwargsrepr}
        reason = _Plain(_name(error))
        try:
            retry = self.retry(
                exc=reason, queue=self.stage.queue_name, countdown=0, headers=headers, throw=False, **words
            )
        except Reject as refused:
            # The broker does not take the copy: keep the original, it is not this batch that failed.
            raise Reject(refused.reason, requeue=True) from error
        raise retry


class _Plain(Exception):  # noqa: N818 - carries the text of an error to Flower, never its bytes or parameters
    """The name of what went wrong."""


def _name(error: Exception) -> str:
    # The text of an unknown error may hold log lines or credentials; its class and place do not.
    if isinstance(error, (*WAITS, PermanentError)):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__


def backoff(attempt: int) -> float:
    """Return the seconds to wait after this many failures: doubling, capped, with jitter."""
    return min(LONGEST_WAIT_SECONDS, 0.25 * 2.0 ** min(attempt, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def hold(work: Callable[[], T]) -> T:
    """Do the work, again and again while it fails for a time, for up to `HOLD_SECONDS`."""
    deadline = time.monotonic() + HOLD_SECONDS
    for attempt in range(1, 1000):
        try:
            return work()
        except WAITS as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting: %s", error)
            time.sleep(backoff(attempt))
    raise AssertionError("unreachable: the deadline comes first")
