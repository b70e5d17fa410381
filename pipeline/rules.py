"""How files are followed: the part of the settings that the file side needs."""

from dataclasses import dataclass

from pipeline.blocks import Limits
from pipeline.format_choice import FormatChoice


@dataclass(frozen=True, slots=True)
class Rules:
    """How files are followed.

    Attributes:
        host: name of this machine in sources.
        format: of the lines, by the path of their file.
        limits: of the batches.
        once: read everything once, archives too, unfinished last lines as they are.
        newest_first: with `once`, begin with the file that was written last.
        open_count: most files held open at a time.
    """

    host: str
    format: FormatChoice
    limits: Limits
    once: bool = False
    newest_first: bool = False
    open_count: int = 512
