"""The errors of Sluice, sorted by what whoever meets one must do.

    PipelineError
    ├─ ConfigurationError      stop at start-up; the message names the variable or file and what to change
    ├─ TransientError          wait and try again
    │   ├─ BrokerUnavailable
    │   └─ DatabaseUnavailable
    ├─ PermanentError          dead letter now, never retry
    │   └─ EnvelopeError       undecodable, unknown version, wrong checksum
    ├─ RejectedLine            one line does not parse: to rejected_lines, the rest of its batch succeeds
    └─ CheckpointError         stop rather than guess a position

The docstring of a class is its default message.
"""


class PipelineError(Exception):
    """Something in Sluice went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ConfigurationError(PipelineError):
    """The configuration is not usable."""


class TransientError(PipelineError):
    """A dependency is away for now; the same work will succeed later."""


class BrokerUnavailable(TransientError):  # noqa: N818 - the vocabulary of the field
    """The broker does not answer, refuses, or holds back publishers."""


class DatabaseUnavailable(TransientError):  # noqa: N818
    """The database does not answer, is locked, or asks for the transaction to be tried again."""


class PermanentError(PipelineError):
    """This message can never succeed as it is."""


class EnvelopeError(PermanentError):
    """The message is not a batch that this version can read."""


class RejectedLine(PipelineError):  # noqa: N818
    """The line does not parse in the format of its source."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        """Keep the reason, and the byte position in the line where parsing stopped, if known."""
        super().__init__(reason)
        self.reason = reason
        self.position = position


class CheckpointError(PipelineError):
    """The checkpoint cannot be trusted or cannot be saved."""
