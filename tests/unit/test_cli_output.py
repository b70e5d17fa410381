"""What the commands print."""

import json

import pytest

from pipeline.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/var/log/été.log", "/var/log/été.log"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\tc\x00", r"a\nb\tc\x00"),
        ("\x9bC1", r"\x9bC1"),
        ("right\u202eleft", r"right\u202eleft"),
        ("bad\udcff", r"bad\udcff"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_foreign_text_is_shown_without_its_power(text: str, shown: str) -> None:
    """What a terminal would obey or hide comes out as an escape; plain text stays as it is."""
    assert shown == output.escape(text)


def test_json_is_one_ascii_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A JSON object takes one line, whatever its strings hold."""
    output.emit_json({"path": "a\nb\udcffé"})

    printed = capsys.readouterr().out
    assert printed.isascii()
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"path": "a\nb\udcffé"}


def test_table_aligns_numbers_right_and_text_left() -> None:
    """Columns of numbers line up at their last digit; an unknown value is a dash."""
    shown = output.table(("name", "count"), [("a", 1), ("long name", 12345), ("x", None)])

    assert shown.splitlines() == [
        "name       count",
        "a              1",
        "long name  12345",
        "x              -",
    ]


def test_table_without_rows_shows_its_heads() -> None:
    """An empty table is its heads alone."""
    assert output.table(("id", "path"), []) == "id  path"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (1 << 50, "1024.0 TiB")],
)
def test_size_is_in_binary_units(count: int, shown: str) -> None:
    """A size is shown in the largest unit that it fills."""
    assert shown == output.size(count)
