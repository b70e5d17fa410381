"""A report says its figures in each form, and no text of a log is more than text in any of them."""

import json
import re
from typing import Any

import pytest

from pipeline.errors import DatabaseUnavailable
from pipeline.report.answers import gathered, troubles
from pipeline.report.document import KINDS, Document, written
from pipeline.report.figures import Compared, Rows, Selection, Trouble
from tests import payloads
from tests.figures import NOW, SELECTION, figures, parts
from tests.markup import read


def document(word: str = "/a", **given: Any) -> Document:
    """Return a report with a word in the place of every foreign text."""
    return Document(figures(word), SELECTION, NOW, **given)


def test_html_says_the_figures() -> None:
    """Totals, shares, the missing bytes and what was noticed are in the text."""
    text = " ".join(read(written(document(), "html")).texts)

    for figure in (
        "13",
        "7.69 %",
        "15.38 %",
        "10 B",
        "12 ms",
        "1.2 s",
        "4.0 KiB",
        "status drift",
        "2.0",
        "2xx success",
    ):
        assert figure in text


def test_html_needs_nothing_else() -> None:
    """No address, no script, and a policy that allows its one style and nothing more."""
    text = written(document(), "html").decode()
    reader = read(text.encode())

    assert "default-src 'none'; style-src 'sha256-" in text
    assert not re.search(r"""(?:href|src)=["']?(?!#)|url\(|@import|https?:""", text)
    assert not reader.elements & {"script", "link", "img", "iframe", "object"}


@pytest.mark.parametrize("payload", payloads.XSS)
def test_a_payload_is_text_in_html(payload: str) -> None:
    """It adds no element and no attribute, and can be read as it is."""
    plain, hostile = (read(written(document(word), "html")) for word in ("/a", payload))

    assert hostile.elements == plain.elements
    assert hostile.attributes == plain.attributes
    assert payload in "".join(hostile.texts)


@pytest.mark.parametrize(
    "payload", [*payloads.XSS, "[x](http://evil)", "| a | b |", "www.evil.example", "`x`"]
)
def test_a_payload_is_text_in_markdown(payload: str) -> None:
    """Every sign that could mark up, link or begin a cell goes with a backslash."""
    text = written(document(payload), "md").decode()

    assert not re.search(r"(?<!\\)[<`\]]|(?<!\\):(?=//)|www(?<!\\)\.", text)
    tables = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= set(range(3, 11))


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """What a terminal would obey comes out as an escape in HTML and Markdown."""
    for kind in ("html", "md"):
        text = written(document(), kind)
        assert b"\x1b" not in text
        assert b"x1b" in text


def test_json_holds_every_part() -> None:
    """By name, with moments as ISO times and bytes as text."""
    found = json.loads(written(document(before=Compared(SELECTION.period.preceding(), {})), "json"))

    assert found["figures"].keys() == figures().keys()
    assert found["figures"]["traffic"][0] == {
        "moment": "2026-03-01T10:05:00+00:00", "status_class": 2, "hits": 7,
    }  # fmt: skip
    assert found["before"]["since"] == "2026-03-01T09:00:00+00:00"


def test_a_comparison_says_both() -> None:
    """Beside the total stands by how much it has grown, and a line over the bars."""
    earlier = figures() | {"traffic": Rows(("moment", "status_class", "hits"), [])}
    compared = Compared(SELECTION.period.preceding(), earlier)
    text = " ".join(read(written(document(before=compared), "html")).texts)

    assert "none before" in text
    assert "compared with 2026-03-01 09:00" in text


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_answer_is_named(kind: str) -> None:
    """A report is written whatever is away, and says what it lacks."""

    def away(_: Selection) -> Rows:
        raise DatabaseUnavailable("the database is away")

    made = gathered(parts() | dict.fromkeys(("traffic", "missing", "paths"), away), SELECTION, NOW)

    assert troubles(made.figures) == ["the database is away"]
    assert written(made, kind).count(b"the database is away") >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_all_is_a_report_too(kind: str) -> None:
    """An empty system has its sections, with words in the place of rows."""
    empty = {part: Rows(rows.columns, []) for part, rows in figures().items()}

    assert written(Document(empty, SELECTION, NOW), kind)
    assert written(Document({part: Trouble("away") for part in empty}, SELECTION, NOW), kind)
