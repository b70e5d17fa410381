"""The labelled samples of `bench detect`: what the patterns find of them may not fall behind."""

import re
from collections import Counter
from functools import cache

import pytest

from bench.labelled import Labels, labelled, unseen
from pipeline.detect.patterns import Patterns
from pipeline.detect.rules import load

#: A line of a web server: address, target, status and agent.
LINE = re.compile(r'(\S+) .*?"\S+ (\S+) HTTP/1\.1" (\d+) .*"([^"]*)"\n')
#: Least share of the attacks that must be found, and most honest samples that may be told of.
LEAST, MOST_WRONG = {labelled: 0.93, unseen: 0.85}, {labelled: 1, unseen: 3}


@cache
def patterns() -> Patterns:
    """Return the patterns as they come."""
    return Patterns(load())


def told(labels: Labels) -> dict[str, set[str]]:
    """Return for each address the rules that tell of its lines."""
    found: dict[str, set[str]] = {}
    for _, line in labels.lines:
        address, target, status, agent = LINE.fullmatch(line.decode()).groups()  # type: ignore[union-attr]
        path, _, query = target.partition("?")
        both = (*patterns().found("url", path, query or None), *patterns().found("agent", agent))
        found.setdefault(address, set()).update(
            each.name for each in both if each.statuses is None or int(status) in each.statuses
        )
    return found


@pytest.mark.parametrize("samples", [labelled, unseen], ids=lambda samples: samples.__name__)
def test_the_rules_find_what_they_are_said_to_find(samples: object) -> None:
    """Of the attacks nearly all, each by its own rule; of the honest requests nearly none."""
    labels: Labels = samples()  # type: ignore[operator]
    rules = load().patterns
    found = told(labels)
    attacks = {address: rule for address, rule in labels.right.items() if rule in rules}
    hits = Counter(attacks[address] for address in attacks if attacks[address] in found[address])
    honest = [address for address, rule in labels.right.items() if rule is None and address in found]
    wrong = [address for address in honest if found[address] - labels.also[address]]

    assert sum(hits.values()) >= LEAST[samples] * len(attacks)
    assert set(hits) == set(rules)
    assert len(honest) > 50
    assert len(wrong) <= MOST_WRONG[samples]
