"""Secrets in URLs and texts: found by name and by form, in linear time; the rest stays."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.redaction import MASK, redacted
from tests.cost import TIMES_LONGER, grows_in_line

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJlLW9mLWl0"
#: A text, and the part of it that must be gone.
SECRETS = [
    ("token=canary", "canary"),
    ("a=1&access_token=canary&b=2", "canary"),
    ("/cb#id_token=canary", "canary"),
    ("refresh-token=canary", "canary"),
    ("X-Api-Key=canary", "canary"),
    ("api_key=canary;x=1", "canary"),
    ("client%5Fsecret=canary", "canary"),
    ("user%5Bpassword%5D=canary", "canary"),
    ("user[password]=canary", "canary"),
    ("PASSWORD=canary", "canary"),
    ("pwd=canary", "canary"),
    ("code=canary&state=other", "canary"),
    ("code=one&state=canary", "canary"),
    ("otp=424242", "424242"),
    ("/a;jsessionid=canary", "canary"),
    ("/a;jsessionid=canary?x=1", "canary"),
    ("PHPSESSID=canary", "canary"),
    ("sid=canary", "canary"),
    ("X-Amz-Signature=canary", "canary"),
    ("SAMLResponse=canary", "canary"),
    ("cookie=canary", "canary"),
    (f"next=/x&q={JWT}", "c2lnbmF0dXJl"),
    (f"/verify/{JWT}", "c2lnbmF0dXJl"),
    ("Authorization: Bearer canary-token", "canary"),
    ("h=Basic%20Y2FuYXJ5OmNhbmFyeQ==", "Y2FuYXJ5"),
    ("https://ann:canary@example.org/a", "canary"),
    ("next=https://canary%40example.org:8080/", "canary"),
    ("to=canary@example.org", "canary"),
    ("/unsubscribe/canary%40mail.example.org/now", "canary"),
    ("q=canary.name+tag@example.co.uk", "canary"),
    ("number=4111111111111111", "4111111111111111"),
    ("q=4111+1111+1111+1111", "1111"),
    ("q=3782-822463-10005", "10005"),
    ("/pay/5555%205555%205555%204444", "4444"),
]
#: What is no secret.
ORDINARY = [
    "page=2&sort=asc",
    "country_code=fr&zip_code=75001",
    "keyboard=azerty&passenger=2&tokenizer=x",
    "id=4111111111111112",  # no card: its check digit is wrong
    "id=1700000000000",
    "path=/a/b.html",
    "q=a%20b+c",
    "user@",
    "v=1.2.3.4",
    "",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_taken_out(text: str, secret: str) -> None:
    """Its place is marked, and nothing of it is left."""
    found = redacted(text)

    assert secret not in found
    assert MASK in found


@pytest.mark.parametrize("text", ORDINARY)
def test_what_is_no_secret_stays(text: str) -> None:
    """Ordinary parameters, numbers and texts come back as they were."""
    assert redacted(text) == text


@given(st.text() | st.text("=&;?#/@%40.e-yJ1+: *"))
def test_a_second_time_changes_nothing(text: str) -> None:
    """What was redacted is no longer found, so a replay gives the same."""
    once = redacted(text)

    assert redacted(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "=",
        "a=",
        "eyJ",
        "eyJa.",
        "@",
        "a@",
        "a@b.",
        "%40",
        "1",
        "1 ",
        "%20",
        "://",
        "://a",
        "bearer ",
        "&",
        "-",
    ],
)
def test_time_grows_with_the_text(piece: str) -> None:
    """Sixteen times the text takes about sixteen times as long, whatever it repeats."""
    short, long = (piece * (size // len(piece)) for size in (64_000 // TIMES_LONGER, 64_000))

    assert grows_in_line(partial(redacted, short), partial(redacted, long))
