"""Broker errors, sorted by what to do: wait, or change the configuration."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed, PreconditionFailed
from kombu.exceptions import OperationalError

from pipeline.errors import BrokerUnavailable, ConfigurationError


@contextmanager
def translated(connection: Any) -> Iterator[None]:
    """Raise what a connection of kombu raises as the errors of Sluice, the original as the cause.

    Raises:
        ConfigurationError: a person must change BROKER_URL, a permission, or what stands in the way.
        BrokerUnavailable: waiting can help.
    """
    known = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
    try:
        yield
    except known as error:
        advice = _advice(error.__cause__ if isinstance(error, OperationalError) else error)
        text = " ".join(str(error).split())
        if advice is None:
            raise BrokerUnavailable(f"BROKER_URL: the broker does not answer: {text}") from error
        raise ConfigurationError(f"BROKER_URL: {advice}: {text}") from error


def _advice(error: BaseException | None) -> str | None:
    """Return what to change, or None where waiting can help."""
    if isinstance(error, AccessRefused):
        login = "login was refused" in str(error).lower()
        return "user or password is wrong" if login else "the user lacks a permission"
    if isinstance(error, NotAllowed):
        return "the virtual host does not exist, or the user may not use it"
    if isinstance(error, PreconditionFailed):
        return "an exchange or a queue has other properties; delete it, or use another virtual host"
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
        return "the host's name is not known"
    if isinstance(error, ssl.SSLError):
        return "no TLS connection can be made"
    return None
