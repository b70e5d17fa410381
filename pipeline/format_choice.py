"""Which format the lines of a file are said to have: one for all, or by the file's path."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

#: Says that the clean stage recognises a source's format.
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class FormatChoice:
    """The names of formats by path, or "auto".

    Attributes:
        default: for files that no pattern fits.
        by_pattern: pattern of whole paths, with `*`, `?` and `[…]`, and name; the first that fits counts.
    """

    default: str = AUTO
    by_pattern: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME`, `PATTERN=NAME`, or several of them between commas.

        Raises:
            ValueError: two names without a pattern, or a part without a name.
        """
        parts = [part.strip().rpartition("=") for part in text.split(",")]
        defaults = [name for _, equals, name in parts if not equals]
        if len(defaults) > 1 or not all(name for _, _, name in parts):
            raise ValueError("give one format, or PATTERN=FORMAT for some paths, between commas")
        return cls((defaults or [AUTO])[0], tuple((path, name) for path, equals, name in parts if equals))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name but "auto"."""
        return tuple(name for name in (self.default, *(name for _, name in self.by_pattern)) if name != AUTO)

    def of(self, path: str) -> str:
        """Return the name for a file."""
        return next((name for pattern, name in self.by_pattern if fnmatchcase(path, pattern)), self.default)
