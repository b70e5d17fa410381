"""The format of a batch: what it names, what its source has, or what its lines show."""

import logging

from sqlalchemy import Connection

from db.sources import Catalogue, Known
from pipeline.batch import Batch
from pipeline.errors import ConfigurationError, PermanentError
from pipeline.formats import get_format, scores
from pipeline.formats.detection import recognised
from pipeline.formats.line import LogFormat

log = logging.getLogger(__name__)

#: Format whose reasons a person reads where none was recognised.
FALLBACK_FORMAT = "combined"


def named(batch: Batch) -> LogFormat | None:
    """Return the format that a batch names, None where it leaves that open.

    Raises:
        PermanentError: it is not known here.
    """
    if batch.source.format == "auto":
        return None
    try:
        return get_format(batch.source.format)
    except ConfigurationError as error:
        # For the watcher that is a wrong setting; for this one batch, waiting would not change its name.
        raise PermanentError(f"the batch names a format that is not known here: {error}") from error


def format_of(batch: Batch, known: Known) -> LogFormat | None:
    """Return the format that a batch names or its source has, None where it has yet to be recognised."""
    return named(batch) or (None if known.format is None else get_format(known.format))


def shown(batch: Batch) -> LogFormat | None:
    """Return the format that the lines of a batch show, None where that is not clear."""
    found = recognised(scores(batch.block))
    if found is None:
        return None
    log.info(
        "%s is recognised as %s: %.0f %% of a sample of lines, %.0f %% more than the next format has",
        ascii(batch.source.path), found.format.name, 100 * found.share, 100 * found.margin,
    )  # fmt: skip
    return found.format


def agreed(
    connection: Connection, catalogue: Catalogue, known: Known, batch: Batch, format_: LogFormat | None
) -> LogFormat:
    """Return the format that stands for a batch that has or shows the given one."""
    if format_ is None:
        # Not remembered: the next block may show what this source is.
        return get_format(FALLBACK_FORMAT)
    if format_of(batch, known) is None:
        return get_format(catalogue.recognise(connection, batch.source, known, format_.name))
    return format_
