"""Many subjects of one rule at once, as of a botnet: the busiest by themselves, the others together."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.detect.sighting import Sighting

#: Subjects of a rule that are told by themselves, of the lines that are looked at together.
MOST_SUBJECTS = 50
#: Subject of the others.
OTHERS = "others"


def gathered(sightings: Iterable[Sighting]) -> Iterator[Sighting]:
    """Yield sightings, of a rule with very many subjects the smaller ones as one."""
    by_rule: dict[str, list[Sighting]] = {}
    for each in sightings:
        by_rule.setdefault(each.rule, []).append(each)
    for own in by_rule.values():
        own.sort(key=lambda each: -each.count)
        yield from own[:MOST_SUBJECTS]
        if others := own[MOST_SUBJECTS:]:
            count = sum(each.count for each in others)
            yield replace(
                others[0],
                subject=OTHERS,
                since=min(each.since for each in others),
                until=max(each.until for each in others),
                count=count,
                summary=f"{count} of {len(others)} others; the first: {others[0].summary}",
            )
