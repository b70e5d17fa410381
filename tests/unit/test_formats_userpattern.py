"""Patterns of users: which are taken, and that those take no time."""

from functools import partial

import pytest

from pipeline.errors import ConfigurationError
from pipeline.formats.base import LONGEST_LINE_BYTES
from pipeline.formats.linear import require_linear
from pipeline.formats.userpattern import compiled
from tests.cost import least_seconds


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(a*)*",
            "(a+)+b",
            "(a|b+)*",
            "(?:a?b?)*",
            "((ab)*)*",
            "(ab?)*b",
            "(a|a)+",
            ".*.*",
            ".*x.*y",
            "a*a",
            "a+a+",
        ),
        *(
            r"\d+\w*",
            r"\S+\w",
            ".*?x.*?y",
            "(?=a*)b",
            r"(a)\1",
            "(?(1)a|b)(c)",
            "(?i)a",
            "[^x]*é",
            "(a?){99}a{99}",
        ),
        "a?" * 9 + "a" * 9,
    ],
)
def test_a_pattern_that_may_be_slow_is_refused(pattern: str) -> None:
    """Loops in loops, loops that take what follows, back references and too many choices are no patterns."""
    with pytest.raises(ConfigurationError):
        require_linear(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            r"\d+ms",
            "[^,]*,[^,]*",
            r"a?b?c?",
            r"(?:\d+|-) x",
            r"\d{1,3}(?:\.\d{1,3}){3}",
            r"(?P<a>\S+) (?P<b>.*)",
        ),
        *(
            '"{quoted:a}" "{quoted:b}"',
            "{word} {word}( {word:c})?",
            "(?!x)[a-z]+",
            "{time:t} {ip:i} {rest:r}",
        ),
    ],
)
def test_time_grows_with_the_line(pattern: str) -> None:
    """Patterns that are taken read the longest lines, of whatever they are made, in a moment."""
    expression = compiled(pattern)

    for piece in (" ", "a", '"', "\\", '\\"', "1", ", ", "a ", "1.", "é", "-", "2026-11-24 12:00:00 "):
        text = piece * (LONGEST_LINE_BYTES // len(piece)) + "\0"
        assert least_seconds(partial(expression.fullmatch, text), 0.1) < 0.1
