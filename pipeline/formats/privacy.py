"""What clean keeps of personal data: a rule for each column, applied to a value before anything stores it.

    keep        as it is: every column without a rule
    drop        NULL
    mask        `***`
    truncate    an address without its last 8 bits (IPv4) or its last 80 (IPv6)
    pseudonym   a keyed hash, the same for the same value and key; of an address, one of fd00::/8
    redact      a text without tokens, cookies, passwords, card numbers and e-mail addresses (redaction.py)

The policy of a process holds for every parser that is made in it, whoever makes it: a replay and its dry run
store and show no more than a pool. It says nothing of the lake and of rejected lines, which are lines
as they were written: roles keep those from readers (db/roles.py).
"""

import hashlib
import hmac
import ipaddress
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.base import COLUMNS, ColumnType, Convert, Format, Group
from pipeline.formats.redaction import MASK, redacted

#: Turns one value of a column into what is kept of it; never called for NULL.
Rule = Callable[[Any], Any]
#: Bits of an address that `truncate` keeps, by its version.
KEPT_BITS = {4: 24, 6: 48}
#: Bytes of a pseudonym's hash: no two of a billion values meet by chance.
PSEUDONYM_BYTES = 16
#: The rules that fit each type of column; any column but the time may be dropped.
FITTING = {
    ColumnType.TEXT: {"mask", "pseudonym", "redact"},
    ColumnType.INET: {"truncate", "pseudonym"},
}


@dataclass(frozen=True)
class Policy:
    """The rule of each column that has one, by its name."""

    rules: Mapping[str, Rule] = field(default_factory=dict)

    def over(self, format_: Format) -> Format:
        """Return the format with these rules over what its groups make of a line."""
        groups = tuple(self._group(group) for group in format_.groups)
        return format_ if groups == format_.groups else replace(format_, groups=groups)

    def _group(self, group: Group) -> Group:
        if not self.rules.keys() & set(group.columns):
            return group
        return replace(group, convert=_after(group.convert, [self.rules.get(name) for name in group.columns]))


def _after(convert: Convert, rules: list[Rule | None]) -> Convert:
    def converted(field: bytes) -> tuple[Any, ...]:
        return tuple(
            value if rule is None or value is None else rule(value)
            for value, rule in zip(convert(field), rules, strict=True)
        )

    return converted


_adopted = Policy()


def adopt(policy: Policy) -> None:
    """Make this the policy of every parser that this process makes from now on."""
    global _adopted  # noqa: PLW0603 - one for the process, so that no way to a parser leads around it
    _adopted = policy


def adopted_rules() -> Mapping[str, Rule]:
    """Return the rule of each column that has one in the policy of this process."""
    return _adopted.rules


def adopted(format_: Format) -> Format:
    """Return a format with the policy of this process over it."""
    return _adopted.over(format_)


def read(path: Path | None, key: bytes) -> Policy:
    """Return the policy of a TOML file with one table, `columns`; without a file everything is kept.

    Raises:
        ConfigurationError: names the file, the column and what to change.
    """
    if path is None:
        return Policy()
    try:
        columns = tomllib.loads(path.read_text()).get("columns", {})
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"SLUICE_PRIVACY_FILE: {path}: {error}") from error
    if not isinstance(columns, dict):
        raise ConfigurationError(f"SLUICE_PRIVACY_FILE: {path}: write a table [columns]")
    rules = {name: _rule(path, name, str(rule), key) for name, rule in columns.items()}
    return Policy({name: rule for name, rule in rules.items() if rule is not None})


def _rule(path: Path, column: str, name: str, key: bytes) -> Rule | None:
    if column not in COLUMNS:
        raise ConfigurationError(f"SLUICE_PRIVACY_FILE: {path}: there is no column {column!r}")
    fitting = {"keep", *([] if column == "timestamp" else ["drop"]), *FITTING.get(COLUMNS[column], set())}
    if name not in fitting:
        raise ConfigurationError(
            f"SLUICE_PRIVACY_FILE: {path}: {column} = {name!r}: use one of {', '.join(sorted(fitting))}"
        )
    if name == "pseudonym" and not key:
        raise ConfigurationError(f"SLUICE_PRIVACY_KEY: {path} asks for pseudonyms of {column}, set a key")
    is_address = COLUMNS[column] is ColumnType.INET
    rules: dict[str, Rule | None] = {
        "keep": None,
        "drop": lambda _: None,
        "mask": lambda _: MASK,
        "truncate": truncated,
        "redact": redacted,
        "pseudonym": lambda value: (pseudonym_address if is_address else pseudonym)(key, value),
    }
    return rules[name]


def truncated(address: str) -> str:
    """Return an address with its last bits set to zero."""
    version = 6 if ":" in address else 4
    network = ipaddress.ip_network(f"{address}/{KEPT_BITS[version]}", strict=False)
    return str(network.network_address)


def pseudonym(key: bytes, value: str) -> str:
    """Return the keyed hash of a text, in hexadecimal digits."""
    return _digest(key, value).hex()


def pseudonym_address(key: bytes, address: str) -> str:
    """Return an address of fd00::/8, which nobody routes, that stands for another."""
    return str(ipaddress.IPv6Address(b"\xfd" + _digest(key, address)[1:]))


def _digest(key: bytes, value: str) -> bytes:
    return hmac.digest(key, value.encode(errors="surrogatepass"), hashlib.sha256)[:PSEUDONYM_BYTES]
