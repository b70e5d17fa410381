"""The built-in formats by name and by sample, and what makes a format."""

import pytest
from hypothesis import given

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, detect, get_format, recognise, scores
from pipeline.formats.base import Format, Group
from pipeline.formats.fields import common_time, text
from tests.unit.formats.lines import BLOCKS, COMBINED_LINE, COMMON_LINE, PROXY_LINE

TIME = Group("time", ("timestamp", "utc_offset_minutes"), common_time)


@pytest.mark.parametrize(
    ("line", "name"), [(COMBINED_LINE, "combined"), (COMMON_LINE, "common"), (PROXY_LINE, "proxy")]
)
def test_format_is_recognised(line: bytes, name: str) -> None:
    """A block of lines of a format is told by any one of its lines, with or without the last newline."""
    for block in (line, line + b"\n", (line + b"\n") * 3, b"\n\n" + line + b"\r\n"):
        assert detect(block) is get_format(name)


@given(BLOCKS)
def test_a_line_counts_for_one_format_at_most(block: bytes) -> None:
    """The shares of all formats together are no more than the whole."""
    assert sum(scores(block).values()) <= 1.000001


def test_half_of_the_lines_decide() -> None:
    """Half of the lines are enough, fewer are not, and empty lines do not count."""
    assert get_format("common") is detect((COMMON_LINE + b"\n\n\nnoise\n") * 10)
    assert detect((COMMON_LINE + b"\nnoise\nnoise\n") * 10) is None


def test_scores_are_shares_of_the_sample() -> None:
    """Each format has the share of the lines that are its own, and the largest is recognised from half on."""
    shares = scores((COMBINED_LINE + b"\n" + COMMON_LINE + b"\nnoise\n" + COMBINED_LINE + b"\n") * 5)

    assert {format_.name: share for format_, share in shares.items() if share} == {
        "combined": 0.5,
        "common": 0.25,
    }
    assert list(map(get_format, FORMATS)) == list(shares)
    assert recognise(shares) is get_format("combined")
    assert recognise(dict.fromkeys(shares, 0.49)) is None


def test_sample_spans_the_block() -> None:
    """A foreign head of the block does not hide the format of the rest."""
    assert get_format("combined") is detect(b"noise\n" * 400 + (COMBINED_LINE + b"\n") * 500)


@pytest.mark.parametrize("block", [b"", b"\n\n", b"noise\n", b'{"a": 1}\n'])
def test_other_lines_have_no_format(block: bytes) -> None:
    """Nothing, and lines of no built-in format, are recognised as none."""
    assert detect(block) is None


def test_unknown_name_is_a_mistake_of_configuration() -> None:
    """The message names the variable, the unknown name and the known ones."""
    with pytest.raises(ConfigurationError, match=r"SLUICE_LOG_FORMAT.*'apache'.*combined, common, proxy"):
        get_format("apache")


def test_formats_are_known_by_their_names() -> None:
    """Each format stands under its own name."""
    assert [format_.name for format_ in FORMATS.values()] == list(FORMATS)


@pytest.mark.parametrize(
    ("pattern", "groups", "complaint"),
    [
        (r"(?P<when>{time})", (TIME,), "groups are when"),
        (r"(?P<time>(\d\d)/.*)", (TIME,), "groups are time"),
        (r"(?P<time>", (TIME,), "unterminated"),
        (r"(?P<time>{time}) (?P<a>.*)", (TIME, Group("a", ("colour",), text)), "unknown"),
        (r"(?P<time>{time}) (?P<a>.*)", (TIME, Group("a", ("timestamp",), text)), "filled twice"),
        (r"(?P<a>.*)", (Group("a", ("path",), text),), "timestamp"),
    ],
)
def test_format_that_does_not_fit_together_is_refused(
    pattern: str, groups: tuple[Group, ...], complaint: str
) -> None:
    """A pattern, groups and columns that contradict each other stop at the start, with the format's name."""
    with pytest.raises(ConfigurationError, match=f"format mine: .*{complaint}"):
        Format("mine", 1, pattern, groups)
