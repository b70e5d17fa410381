"""Enrichers put into formats and records: where their columns go, and who has the say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enrich.enricher import Enricher, enrich_record, enriched
from pipeline.errors import ConfigurationError
from pipeline.formats import get_format
from pipeline.formats.line import parser_of
from pipeline.formats.ncsa import COMBINED, COMMON
from pipeline.formats.parse import BlockParser

LINE = b'8.8.8.8 - jane [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 1 "-" "agent"\n'


def parsed(*enrichers: Enricher, line: bytes = LINE) -> dict[str, Any]:
    """Return the record of a line in the combined format with enrichers."""
    format_ = enriched(COMBINED, enrichers)
    block = BlockParser(format_, lambda _columns, values: values).parse(line)
    values = [value for (group,) in block.groups for value in group]
    return dict(zip(format_.columns, values, strict=True))


def fixed(name: str, column: str, **outputs: Any) -> Enricher:
    """Return an enricher that knows the same about every value."""
    return Enricher(name, column, tuple(outputs), lambda _value: tuple(outputs.values()))


def test_outputs_stand_in_the_group_of_their_input() -> None:
    """A format gains the columns of an enricher and keeps name, version, pattern and its own values."""
    format_ = enriched(COMBINED, [fixed("a", "ip", country="US")])

    assert (format_.name, format_.version, format_.pattern) == (
        "combined",
        COMBINED.version,
        COMBINED.pattern,
    )
    assert format_.groups[0].columns == (*COMBINED.groups[0].columns, "country")
    record = parsed(fixed("a", "ip", country="US"))
    assert (record["country"], record["ip"], record["user_name"]) == ("US", "8.8.8.8", "jane")


def test_each_distinct_field_is_enriched_once() -> None:
    """The memo of the group keeps what an enricher answered."""
    asked: list[str] = []

    def answer(value: str) -> tuple[str]:
        asked.append(value)
        return ("US",)

    format_ = enriched(COMBINED, [Enricher("a", "ip", ("country",), answer)])
    parser = BlockParser(format_, lambda _columns, values: values)
    parser.parse(LINE * 3)
    parser.parse(LINE)

    assert asked == ["8.8.8.8"]


def test_absent_value_is_not_asked_about() -> None:
    """A field that is NULL has no enrichment, and the enricher never sees it."""
    line = LINE.replace(b"8.8.8.8", b"localhost")

    assert parsed(fixed("a", "ip", country="US"), line=line)["country"] is None


def test_format_without_the_input_stays() -> None:
    """A format without a user agent is the very same."""
    assert enriched(COMMON, [fixed("a", "user_agent", browser="x")]) is COMMON


def test_what_the_line_says_stays() -> None:
    """An output that the format fills itself is left to it."""
    assert parsed(fixed("a", "ip", session="other", country="US"))["session"] is None
    assert parsed(fixed("a", "ip", user_name="other"))["user_name"] == "jane"


def test_later_enricher_has_the_say_where_it_knows() -> None:
    """The user's own table corrects a database, and leaves what it does not know."""
    first, second = fixed("a", "ip", country="US", city="X"), fixed("b", "ip", country="NZ", city=None)

    record = parsed(first, second)

    assert (record["country"], record["city"]) == ("NZ", "X")


def test_enricher_of_an_enriched_column() -> None:
    """A table by country takes the country that the address told."""
    record = parsed(fixed("a", "ip", country="US"), fixed("b", "country", extra={"zone": 4}))

    assert record["extra"] == {"zone": 4}


def test_extra_of_one_field_is_put_together() -> None:
    """Entries of several tables about one field come together, the later ones on top."""
    record = parsed(fixed("a", "ip", extra={"x": 1, "y": 1}), fixed("b", "session", extra={"z": 1}))
    assert record["extra"] == {"x": 1, "y": 1}, "the session is absent"

    record = parsed(fixed("a", "ip", extra={"x": 1, "y": 1}), fixed("b", "user_name", extra={"y": 2}))
    assert record["extra"] == {"x": 1, "y": 2}


def test_two_fields_cannot_fill_one_column() -> None:
    """The error names both tables, the column and the format."""
    both = [fixed("ip.csv", "ip", extra={}), fixed("status.csv", "status", extra={})]

    with pytest.raises(ConfigurationError, match=r"ip\.csv and status\.csv both fill extra.*combined"):
        enriched(COMBINED, both)


def test_record_is_enriched_like_a_line() -> None:
    """A record by column gains the same; what it says itself stays, entries of extra too."""
    enrichers = [
        fixed("a", "ip", country="US", city="X"),
        fixed("b", "country", extra={"zone": 4, "own": 0}),
        fixed("c", "user_agent", browser="x"),
    ]
    values = {"ip": "8.8.8.8", "city": "Own", "user_agent": None, "extra": {"own": 1}}

    record = enrich_record(values, enrichers)

    assert record == values | {"country": "US", "extra": {"zone": 4, "own": 1}}
    assert values["extra"] == {"own": 1}, "the record that was given is left alone"


ANSWERS = st.fixed_dictionaries(
    {"country": st.sampled_from([None, "US", "NZ"]), "extra": st.sampled_from([None, {"a": 1}, {"a": 2}])}
)


@given(st.lists(st.tuples(st.sampled_from(["ip", "user_name", "session"]), ANSWERS), max_size=4))
def test_lines_and_records_agree(chosen: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever enrichers of one group there are, a line and its record end up the same."""
    enrichers = [fixed(str(i), column, **answers) for i, (column, answers) in enumerate(chosen)]

    record = enrich_record(parsed(), enrichers)

    assert {k: v for k, v in record.items() if v is not None} == {
        k: v for k, v in parsed(*enrichers).items() if v is not None
    }


def test_a_format_of_lines_has_the_columns_too() -> None:
    """Records of JSON lines get what enrichers add, each distinct value enriched once."""
    asked: list[str] = []

    def country(address: str) -> tuple[str]:
        asked.append(address)
        return ("US",)

    format_ = enriched(get_format("json"), [Enricher("a", "ip", ("country",), country)])
    block = b'{"time": "2026-11-24T12:00:00Z", "ip": "203.0.113.9"}\n' * 2
    parsed = parser_of(format_, lambda columns, values: dict(zip(columns, values, strict=True))).parse(block)

    rows = [{k: v for group in row for k, v in group.items()} for row in zip(*parsed.groups, strict=True)]
    assert [row["country"] for row in rows] == ["US", "US"]
    assert asked == ["203.0.113.9"]
