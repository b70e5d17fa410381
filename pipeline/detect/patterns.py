"""Which patterns a text has: each distinct text judged once."""

from collections.abc import Iterator
from functools import lru_cache

from pipeline.detect.readable import readable, readable_url
from pipeline.detect.rules import Pattern, Rules

#: Distinct texts whose answer is kept; of a site most requests are for the same few thousand.
KEPT_TEXTS = 20_000


class Patterns:
    """The patterns of the rules, by the field that they look at."""

    def __init__(self, rules: Rules) -> None:
        self._by_field: dict[str, list[Pattern]] = {}
        for pattern in rules.patterns.values():
            for field in pattern.fields:
                self._by_field.setdefault(field, []).append(pattern)
        self.found = lru_cache(KEPT_TEXTS)(self._found)

    def _found(self, field: str, text: str, query: str | None = None) -> tuple[Pattern, ...]:
        """Return the patterns that a text has; of a URL `text` is its path, and `query` what follows."""
        read = readable_url(text, query) if field == "url" else readable(text)
        return tuple(self._matching(field, read))

    def _matching(self, field: str, read: str) -> Iterator[Pattern]:
        for pattern in self._by_field.get(field, ()):
            if pattern.needs and not _has_one(pattern.needs, read):
                continue
            for each in pattern.match:
                if each.search(read):
                    yield pattern
                    break


def _has_one(needs: tuple[str, ...], read: str) -> bool:
    # Of nine in ten texts none: a generator would take longer than the looking.
    for each in needs:  # noqa: SIM110
        if each in read:
            return True
    return False
