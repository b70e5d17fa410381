"""How long the rows of each table are kept: by table, and by the path of the file that they came from."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

#: Says that rows are kept for ever.
KEEP = "keep"
#: Most days of a rule: a hundred years.
MOST_DAYS = 36_525


class Kept(StrEnum):
    """What a rule is about: lines of the lake, clean records, rejected lines; closed findings, drifts."""

    LAKE = "lake"
    CLEAN = "clean"
    REJECTED = "rejected"
    FINDINGS = "findings"
    DRIFTS = "drifts"


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days rows are kept, of files whose whole path fits the pattern; None is for ever."""

    pattern: str
    table: Kept
    days: int | None


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules; without any everything is kept.

    Attributes:
        rules: with a pattern of whole paths, `*`, `?` and `[…]`; the first that fits counts.
        defaults: days by table, for files that no rule about the table fits.
    """

    rules: tuple[Rule, ...] = ()
    defaults: tuple[tuple[Kept, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `TABLE=DAYS` or `PATTERN:TABLE=DAYS`, several of them between commas.

        Raises:
            ValueError: names the part that is none.
        """
        rules = [_rule(part.strip()) for part in text.split(",")] if text.strip() else []
        defaults = [(rule.table, rule.days) for rule in rules if not rule.pattern]
        if len(dict(defaults)) < len(defaults):
            raise ValueError("two rules are about the same table and all paths: name the path of one")
        return cls(tuple(rule for rule in rules if rule.pattern), tuple(defaults))

    def days(self, path: str, table: Kept) -> int | None:
        """Return how many days rows of a file are kept in a table, None for ever."""
        for rule in self.rules:
            if rule.table is table and fnmatchcase(path, rule.pattern):
                return rule.days
        return dict(self.defaults).get(table)

    def __bool__(self) -> bool:
        """Tell whether anything is ever removed."""
        return any(rule.days for rule in self.rules) or any(days for _, days in self.defaults)


def _rule(part: str) -> Rule:
    place, equals, days = part.rpartition("=")
    pattern, _, table = place.rpartition(":")
    if not equals or table not in set(Kept):
        raise ValueError(
            f"{part!r} is no rule: give lake=DAYS, clean=DAYS, rejected=DAYS, findings=DAYS or drifts=DAYS, "
            "PATTERN: before it for some paths, several between commas"
        )
    if days == KEEP:
        return Rule(pattern, Kept(table), None)
    if not days.isascii() or not days.isdecimal() or not 1 <= int(days) <= MOST_DAYS:
        raise ValueError(f"{part!r}: give whole days from 1 to {MOST_DAYS}, or {KEEP}")
    return Rule(pattern, Kept(table), int(days))
