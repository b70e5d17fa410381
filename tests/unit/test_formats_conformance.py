"""The conformance corpus: lines of every format in tests/data/formats, with the records that they make.

An entry has `line` (text) or `hex` (bytes), and `record` (column → value, times as ISO 8601; what is not
named is NULL) or `rejected` (part of the reason). `after` lists lines that stand before it in the same block.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.formats import FORMATS, get_format
from pipeline.formats.line import parser_of
from pipeline.formats.rest import Rest, RestReader
from tests.unit.formats.lines import typed

FOLDER = Path(__file__).parents[1] / "data" / "formats"
#: When the lines are said to have been stored: what a missing year follows from.
STORED_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
#: Fewest entries of a format, and of all together.
FEWEST, FEWEST_TOGETHER = 15, 300


@cache
def corpus() -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each format by its name."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}


def line_of(entry: dict[str, Any]) -> bytes:
    """Return the bytes of an entry's line."""
    return bytes.fromhex(entry["hex"]) if "hex" in entry else entry["line"].encode()


def expected(record: dict[str, Any]) -> dict[str, Any]:
    """Return the values of an entry as a record has them."""
    moment = record["timestamp"]
    filled = {column: value for column, value in record.items() if value is not None}
    return filled | {"timestamp": moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)}


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        pytest.param(name, entry, id=f"{name}-{number}")
        for name, entries in corpus().items()
        for number, entry in enumerate(entries, start=1)
    ],
)
def test_a_line_makes_its_record(name: str, entry: dict[str, Any]) -> None:
    """Each line of the corpus is the record that is written beside it, or rejected for the reason there."""
    before = b"".join(line.encode() + b"\n" for line in entry.get("after", ()))
    format_ = get_format(name)
    parsed = parser_of(format_, typed).parse(before + line_of(entry) + b"\n", 0, STORED_AT)
    # As the clean stage does: what is rejected may still be a record in part.
    rest: Rest[dict[str, Any]] = RestReader(typed, FORMATS.values).read(
        format_, parsed.rejected, mixed=False, at=STORED_AT
    )
    rejected = [line.reason for line in rest.rejected if line.start == len(before)]

    if "rejected" in entry:
        assert rejected, "it is a record"
        assert entry["rejected"] in rejected[0]
        return
    assert not rejected
    groups = rest.recovered[-1].lines.groups if rest.recovered else parsed.groups
    found = {key: value for group in groups for key, value in group[-1].items() if value is not None}
    assert expected(entry["record"]) == found
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in expected(entry["record"]).items()
    }


@pytest.mark.parametrize("name", sorted(corpus()))
def test_a_format_has_enough_lines(name: str) -> None:
    """Each file is of a format that there is, with lines enough, and some of them rejected."""
    entries = corpus()[name]

    assert name in FORMATS
    assert len(entries) >= FEWEST
    assert len({line_of(entry) for entry in entries if "after" not in entry}) >= FEWEST
    assert any("rejected" in entry for entry in entries)


def test_every_format_is_in_the_corpus() -> None:
    """No built-in format is without its file, and the lines together are enough."""
    assert set(FORMATS) == set(corpus())
    assert sum(map(len, corpus().values())) >= FEWEST_TOGETHER
