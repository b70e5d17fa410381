"""Tasks of beat's schedule: what one cannot do now is told, and left to the next one."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from celery import shared_task

from pipeline.errors import ConfigurationError, TransientError

P = ParamSpec("P")


def scheduled(name: str) -> Callable[[Callable[P, str]], Callable[P, str]]:
    """Return what makes a task of a function that returns, for Flower, what was done.

    While the broker or the database is away, or the schema or a setting does not fit, the next one on the
    schedule is the retry.
    """

    def decorate(function: Callable[P, str]) -> Callable[P, str]:
        @wraps(function)
        def attempt(*args: P.args, **kwargs: P.kwargs) -> str:
            try:
                return function(*args, **kwargs)
            except (TransientError, ConfigurationError) as error:
                logging.getLogger(function.__module__).warning("%s waits for the next time: %s", name, error)
                return f"not now: {error}"

        task: Callable[P, str] = shared_task(name=name)(attempt)
        return task

    return decorate
