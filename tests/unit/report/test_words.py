"""Numbers as people read them."""

import pytest

from pipeline.report import words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.count(1234567), "1,234,567"),
        (words.short(0), "0"),
        (words.short(0.5), "0.5"),
        (words.short(999), "999"),
        (words.short(1500), "1.5k"),
        (words.short(20_000_000), "20M"),
        (words.size(0), "0 B"),
        (words.size(1536), "1.5 KiB"),
        (words.size(1 << 50), "1024.0 TiB"),
        (words.share(1, 3), "33.33 %"),
        (words.share(0, 0), "-"),
        (words.seconds(0.0123), "12.3 ms"),
        (words.seconds(60), "1 min"),
        (words.seconds(5400), "1.5 h"),
        (words.seconds(864_000), "10 d"),
        (words.moment(None), "-"),
        (words.change(15, 10), "+50.0 % to before"),
        (words.change(1, 0), "none before"),
        (words.change(0, 0), "as before"),
    ],
)
def test_a_number_is_said(said: str, expected: str) -> None:
    """With its unit, and no more digits than say something."""
    assert said == expected
