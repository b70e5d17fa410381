"""A data subject: which texts hold it, and blocks without its lines."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.formats.privacy import pseudonym, pseudonym_address
from pipeline.subject import Kind, Subject, blanked, subject

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.USER, "ann", '192.0.2.1 - ann [x] "GET /'),
        (Kind.USER, "ann", "/users/ann.json"),
        (Kind.USER, "ann", "?user=%22ann%22"),
        (Kind.USER, "ann", r"{\"user\":\"ann\"}"),
        (Kind.USER, "Zoë", "user=Zo%C3%AB&"),
        (Kind.USER, "Zoë", "user=Zo%c3%ab&"),
        (Kind.USER, "Zoë", r"- Zo\xC3\xAB ["),
        (Kind.USER, "Zoë", r'{"user": "Zo\u00eb"}'),
        (Kind.IP, "192.0.2.1", "client=192.0.2.1:4711"),
        (Kind.IP, "192.0.2.1", "ip:192.0.2.1, next"),
        (Kind.IP, "192.0.2.1", "::ffff:192.0.2.1"),
        (Kind.IP, "192.0.2.1", "from 192.0.2.1."),
        (Kind.IP, "2001:DB8::1", "[2001:db8::1]:80"),
        (Kind.IP, "2001:db8:0:0:0:0:0:1", "2001:DB8::1 - -"),
        (Kind.IP, "2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001 -"),
        (Kind.EMAIL, "Jane@Example.org", "to=<jane@example.org>,"),
        (Kind.EMAIL, "jane@example.org", "?q%3Djane%40example.org"),
        (Kind.TEXT, "4711", "order-54711x"),
    ],
)
def test_a_text_holds_it(kind: Kind, value: str, text: str) -> None:
    """A value is found in each way of writing it that logs use."""
    assert subject(kind, value).holds(text)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.USER, "ann", "joanne anna Ann"),
        (Kind.SESSION, "abc123", "abc1234 xabc123"),
        (Kind.IP, "192.0.2.1", "192.0.2.10 1192.0.2.1 1.192.0.2.1 192.0.2.1.5"),
        (Kind.IP, "2001:db8::1", "2001:db8::1:2 2001:db8::12 1:2001:db8::1"),
        (Kind.EMAIL, "jane@example.org", "mary-jane@example.org jane@example.org.uk xjane@example.org"),
    ],
)
def test_what_is_like_it_is_not_it(kind: Kind, value: str, text: str) -> None:
    """Another person's value that begins or ends alike stays."""
    assert not subject(kind, value).holds(text)


@pytest.mark.parametrize(
    ("kind", "value", "named"),
    [
        (Kind.USER, "ab", "--user"),
        (Kind.IP, "not.an.address", "--ip"),
        (Kind.EMAIL, "someone", "--email"),
        (Kind.TEXT, "two\nlines", "--text"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(kind: Kind, value: str, named: str) -> None:
    """The error names the option, and never the value."""
    with pytest.raises(ConfigurationError, match=named) as refused:
        subject(kind, value)

    assert value not in str(refused.value)


def test_its_value_is_in_no_text_of_it() -> None:
    """A subject that reaches a log names its kind alone."""
    assert "jane" not in repr(subject(Kind.USER, "jane.doe")) + str(subject(Kind.USER, "jane.doe"))


def test_fields_hold_value_or_pseudonym() -> None:
    """A column of the subject's own is compared whole; what the policy of clean made of it is known."""
    ip, user = subject(Kind.IP, "192.0.2.1", KEY), subject(Kind.USER, "ann", KEY)

    assert ip.is_field("192.0.2.1")
    assert ip.is_field(pseudonym_address(KEY, "192.0.2.1"))
    assert not ip.is_field("192.0.2.0")
    assert user.is_field(pseudonym(KEY, "ann"))
    assert not user.is_field("ann b")
    assert not user.is_field(None)
    assert user.holds(pseudonym(KEY, "ann"))
    assert not Subject(Kind.USER, "ann").holds(pseudonym(KEY, "ann"))


def test_lines_that_hold_it_become_stars() -> None:
    """Every byte keeps its place, other lines keep their bytes, whatever these are."""
    block = b"first\xff ann\nsecond joanne\n\x00\nlast ann"

    lines = subject(Kind.USER, "ann").lines_of(block)

    assert [block[start:end] for start, end in lines] == [b"first\xff ann\n", b"last ann"]
    assert blanked(block, lines) == b"**********\nsecond joanne\n\x00\n********"


def test_a_receipt_can_be_told_to_be_about_it() -> None:
    """The hash is the same for one value and key, and another for each other kind, value and key."""
    digests = {
        subject(kind, value).digest(key)
        for kind in (Kind.USER, Kind.TEXT)
        for value in ("ann", "bob")
        for key in (KEY, b"x" * 32)
    }

    assert len(digests) == 8
    assert subject(Kind.EMAIL, "A@b.org").digest(KEY) == subject(Kind.EMAIL, "a@B.org").digest(KEY)


@given(value=st.text(min_size=3).filter(lambda text: len(text.strip()) >= 3 and "\n" not in text))
def test_any_text_is_found_as_it_is_and_encoded(value: str) -> None:
    """Whatever a value is made of, its plain, percent-encoded and JSON forms are found."""
    found = subject(Kind.TEXT, value)

    for form in (found.value, quote(found.value, safe=""), json.dumps(found.value)):
        assert found.holds(f"before {form} behind")
    block = f"aaa\n{found.value}\nbbb\n".encode()
    lines = found.lines_of(block)
    assert block.index(f"\n{found.value}\n".encode()) + 1 in [start for start, _ in lines]
    assert set(found.value) == {"*"} or not found.lines_of(blanked(block, lines))
