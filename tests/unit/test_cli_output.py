"""What the commands print."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli import output
from tests import payloads


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


def shown(capsys: pytest.CaptureFixture[str], text: str) -> list[str]:
    """Return what each way to print makes of a text, on both streams."""
    output.say(text)
    output.complain(text)
    output.emit_json({text: text})
    print(output.table(("head", "other"), [(text, 1)]))
    return list(capsys.readouterr())


@pytest.mark.parametrize("text", payloads.TERMINAL, ids=ascii)
def test_nothing_printed_is_obeyed_by_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each known escape comes out as text that only shows, whichever way it is printed."""
    for stream in shown(capsys, text):
        assert not payloads.HARMFUL.search(stream.replace("\n", ""))
    assert text not in "".join(shown(capsys, text))


@given(st.text(st.characters(codec=None)) | st.text(st.sampled_from("\x1b\x9b\x9d\x07\r\n\u202e\udc80;]52a")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_printed_without_power(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """No text at all puts a control character on a screen, and none breaks the line of a table."""
    said, printed = output.escape(text), output.table(("head",), [(text,)])

    assert not payloads.HARMFUL.search(said)
    assert printed.count("\n") == 1
    for stream in shown(capsys, text):
        assert not payloads.HARMFUL.search(stream.replace("\n", ""))
