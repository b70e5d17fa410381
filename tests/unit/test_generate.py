"""The generator: right shape, same seed same lines, hostile share, steady time."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.generate import HOSTILE, LAYOUTS, generate_blocks, generate_lines, write_file
from tests.cost import least_seconds

SHAPES = {
    "combined": rb'\S+ - \S+ \[[^\]]+\] "[A-Z]+ /\S* HTTP/[12]\.[01]" \d{3} \d+ "[^"]+" "[^"]+"\n',
    "common": rb'\S+ - \S+ \[[^\]]+\] "[A-Z]+ /\S* HTTP/[12]\.[01]" \d{3} \d+\n',
    "proxy": rb'\S+ \S+ \S+ \[[^\]]+ -0500\] "[A-Z]+ https://[\w.]+:443/\S* HTTP/[12]\.[01]" \d{3} \d+ -\n',
}


@pytest.mark.parametrize("log_format", LAYOUTS)
def test_every_line_has_the_shape_of_its_format(log_format: str) -> None:
    """Without hostile lines, each line of a format is one that any reader of it takes."""
    shape = re.compile(SHAPES[log_format])

    strange = [line for line in generate_lines(3000, format=log_format) if not shape.fullmatch(line)]

    assert not strange


@pytest.mark.parametrize("count", [0, 1, 4999, 5000, 5001, 12_345])
def test_the_count_is_exact(count: int) -> None:
    """As many lines come as were asked for, at and around the size of a block."""
    assert count == sum(len(lines) for lines in generate_blocks(count))


def test_the_same_seed_gives_the_same_lines() -> None:
    """A run can be repeated; another seed gives another file."""
    first, again, other = (list(generate_lines(500, seed, broken=0.1)) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_the_lines_vary_as_real_ones_do() -> None:
    """Thousands of clients and targets, some of them popular, make a file that memos cannot cheat on."""
    lines = list(generate_lines(20_000))
    clients = {line.split(b" ", 1)[0] for line in lines}
    requests = {line.split(b'"', 2)[1] for line in lines}

    assert len(clients) > 2500
    assert len(requests) > 5000
    assert 200 < sum(map(len, lines)) / len(lines) < 320


def test_time_starts_where_it_is_told_and_never_goes_back() -> None:
    """Log time advances by whole seconds from the given start."""
    start = datetime(2025, 3, 1, 12, tzinfo=UTC)
    stamps = [line.split(b"[", 1)[1][:26].decode() for line in generate_lines(2000, start=start)]

    times = [datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z") for stamp in stamps]

    assert start == times[0]
    assert times == sorted(times)
    assert times[-1] > times[0]


def test_hostile_lines_come_at_the_asked_share() -> None:
    """Roughly the asked share of lines is hostile, and none of them spans two lines."""
    hostile = {line + b"\n" for line in HOSTILE}

    lines = list(generate_lines(10_000, broken=0.2))

    assert 0.18 < sum(line in hostile for line in lines) / len(lines) < 0.22
    assert all(line.count(b"\n") == 1 for line in lines)
    assert hostile <= set(lines)


def test_a_file_holds_the_lines(tmp_path: Path) -> None:
    """`write_file` streams the same lines, and returns the size of the file."""
    path = tmp_path / "sample.log"

    size = write_file(path, 6000, seed=3, format="proxy")

    assert path.stat().st_size == size
    assert b"".join(generate_lines(6000, 3, "proxy")) == path.read_bytes()


def test_an_unknown_format_is_named() -> None:
    """A format that cannot be made is refused at once with the ones that can."""
    with pytest.raises(ConfigurationError, match=r"'xml'.*combined, common, proxy"):
        generate_blocks(1, format="xml")


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_an_impossible_share_is_refused(share: float) -> None:
    """A share of hostile lines outside 0 to 1 is refused at once."""
    with pytest.raises(ConfigurationError, match="0 to 1"):
        generate_blocks(1, broken=share)


def test_it_is_faster_than_what_reads_it() -> None:
    """Making lines takes under 20 microseconds each even on a busy machine (about 1.5 on a quiet one)."""
    assert least_seconds(lambda: sum(len(lines) for lines in generate_blocks(100_000)), 2.0) < 2.0
