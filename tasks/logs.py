"""The log of pools and beat: the style of the settings, and the batch that a child or a delivery is about."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import current_task
from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_init
from celery.utils.log import get_multiprocessing_logger

from pipeline import logs
from tasks import stores

#: What every record of this process and its children says: the stage of a pool.
_process: dict[str, str] = {}
#: What the main process is about; None between two deliveries.
_delivery: ContextVar[Mapping[str, str] | None] = ContextVar("delivery", default=None)


def begin(name: str) -> None:
    """Note the stage of this pool, or what else it does."""
    _process["stage"] = name


@contextmanager
def about(headers: Mapping[str, Any], task: str) -> Iterator[None]:
    """Name the batch of a delivery in every record until the block ends."""
    token = _delivery.set(_fields(headers.get("root_id"), task))
    try:
        yield
    finally:
        _delivery.reset(token)


def context() -> Mapping[str, str]:
    """Return the batch, task and stage of the task that this process runs, or of the delivery in hand."""
    request = current_task.request if current_task else None
    if request is None or request.id is None:
        return {**_process, **(_delivery.get() or {})}
    return {**_process, **_fields(request.root_id, current_task.name)}


def _fields(batch_id: object, task: str) -> Mapping[str, str]:
    return {name: str(value) for name, value in (("batch_id", batch_id), ("task", task)) if value}


@after_setup_logger.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
@after_setup_task_logger.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def set_style(logger: logging.Logger, **_: Any) -> None:
    """Give the handlers that Celery made the formatter of the settings: one event, one line."""
    settings = stores.settings()
    # billiard, which tells of a child's end, has a handler that Celery hands to nobody.
    for handler in (*logger.handlers, *get_multiprocessing_logger().handlers):
        handler.setFormatter(
            logs.formatter(settings.log_style, settings.host, handler.formatter, context=context)
        )


@celeryd_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def say_only_json(**_: Any) -> None:
    """Where JSON lines are asked for, make events of a pool's first warnings, and drop its stdout.

    There Celery draws its banner and says that it shuts down, past every logger.
    """
    settings = stores.settings()
    if settings.log_style == logs.Style.JSON:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        handler = logging.StreamHandler()
        handler.setFormatter(logs.formatter(settings.log_style, settings.host))
        # Until Celery sets its own handlers up, and gives them to `set_style`.
        logging.basicConfig(handlers=[handler])
        logging.captureWarnings(capture=True)
