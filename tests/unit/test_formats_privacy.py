"""What clean keeps of personal data: the rules, and that no parser leads around them."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, privacy
from pipeline.formats.base import COLUMNS, ColumnType
from pipeline.formats.parse import BlockParser
from pipeline.formats.privacy import Policy, pseudonym, pseudonym_address, truncated
from pipeline.settings import Settings

KEY = b"k" * 32
LINE = (
    b'192.0.2.77 sess-1 ann [01/Mar/2023:00:00:09 +0000] "GET /a?token=canary&x=1 HTTP/1.1" 200 12 '
    b'"https://a.example/?sid=canary" "curl/8"\n'
)


@pytest.fixture(autouse=True)
def _own_policy() -> Iterator[None]:
    yield
    privacy.adopt(Policy())


def policy(folder: Path, **columns: str) -> Policy:
    """Return the policy of a file with these rules."""
    path = folder / "privacy.toml"
    path.write_text("[columns]\n" + "".join(f'{name} = "{rule}"\n' for name, rule in columns.items()))
    return privacy.read(path, KEY)


def parsed(line: bytes = LINE) -> dict[str, Any]:
    """Return the values of a line by column, from a parser made now."""
    format_ = FORMATS["combined"]
    block = BlockParser(format_, lambda _columns, values: values).parse(line)
    values = [value for group in block.groups for value in group[0]]
    return dict(zip(format_.columns, values, strict=True))


def test_without_a_policy_everything_is_kept() -> None:
    """The format is the very same object: it costs nothing."""
    assert privacy.adopted(FORMATS["combined"]) is FORMATS["combined"]
    assert parsed()["ip"] == "192.0.2.77"


def test_each_rule_changes_its_column_alone(tmp_path: Path) -> None:
    """Masked, cut, replaced, redacted and dropped; what has no rule, or keeps, stays."""
    before = parsed()
    rules = {"ip": "truncate", "session": "pseudonym", "user_name": "mask", "query": "redact"}
    rules |= {"referer": "redact", "user_agent": "drop", "path": "keep"}

    privacy.adopt(policy(tmp_path, **rules))

    changed = {
        "ip": "192.0.2.0", "session": pseudonym(KEY, "sess-1"), "user_name": "***", "user_agent": None,
        "query": "token=***&x=1", "referer": "https://a.example/?sid=***",
    }  # fmt: skip
    assert parsed() == {**before, **changed}
    assert b"canary" in LINE
    assert "canary" not in str(parsed())


def test_null_stays_null(tmp_path: Path) -> None:
    """A rule makes nothing of an absent value."""
    privacy.adopt(policy(tmp_path, ip="pseudonym", session="mask", referer="redact"))

    found = parsed(b'- - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 - "-" "-"\n')

    assert (found["ip"], found["session"], found["referer"]) == (None, None, None)


@given(st.ip_addresses())
def test_addresses_lose_their_end(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """A cut address shares its network with 255 others or more; a pseudonym is an address of none."""
    cut = ipaddress.ip_address(truncated(str(address)))
    standing = ipaddress.ip_address(pseudonym_address(KEY, str(address)))

    kept = privacy.KEPT_BITS[address.version]
    assert cut in ipaddress.ip_network(f"{address}/{kept}", strict=False)
    assert int(cut) % (1 << (address.max_prefixlen - kept)) == 0
    assert standing in ipaddress.ip_network("fd00::/8")
    assert str(standing) == pseudonym_address(KEY, str(address))


def test_a_pseudonym_follows_from_value_and_key() -> None:
    """The same value has the same one, another value or key another; it does not hold the value."""
    names = [pseudonym(KEY, "ann"), pseudonym(KEY, "ben"), pseudonym(b"o" * 32, "ann")]

    assert pseudonym(KEY, "ann") == names[0]
    assert len(set(names)) == 3
    assert "ann" not in names[0]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_rule_that_does_not_fit_is_named(column: str, tmp_path: Path) -> None:
    """A number cannot be masked, nor a time dropped; the error lists what fits."""
    kind = COLUMNS[column]
    for rule in ("mask", "truncate", "pseudonym", "redact", "drop", "keep", "hide"):
        fits = rule in privacy.FITTING.get(kind, set()) | {"keep"} or (
            rule == "drop" and kind is not ColumnType.TIMESTAMP
        )
        if fits:
            policy(tmp_path, **{column: rule})
        else:
            with pytest.raises(
                ConfigurationError, match=rf"SLUICE_PRIVACY_FILE: .*{column} = .*use one of.*keep"
            ):
                policy(tmp_path, **{column: rule})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns", "privacy.toml"),
        ('columns = "x"', "table"),
        ('[columns]\nnone = "drop"', "no column 'none'"),
    ],
)
def test_a_file_that_is_no_policy_stops_the_start(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored by a rule that was misread; the variable is named."""
    (tmp_path / "privacy.toml").write_text(text)
    monkeypatch.setenv("SLUICE_PRIVACY_FILE", str(tmp_path / "privacy.toml"))

    with pytest.raises(ConfigurationError, match=f"^SLUICE_PRIVACY_FILE: .*{message}"):
        Settings.from_environment()


def test_pseudonyms_need_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one anybody could try all addresses."""
    policy(tmp_path, ip="pseudonym")
    monkeypatch.setenv("SLUICE_PRIVACY_FILE", str(tmp_path / "privacy.toml"))

    with pytest.raises(ConfigurationError, match=r"^SLUICE_PRIVACY_KEY: .*set a key"):
        Settings.from_environment()
    monkeypatch.setenv("SLUICE_PRIVACY_KEY", "k" * 32)
    assert set(Settings.from_environment().privacy.rules) == {"ip"}
