r"""One data subject: how its value may be written in a line, which lines hold it, and lines without it.

    user, session   a whole word: `ann` is not in `joanne`
    ip, email       as such, upper or lower case: `192.0.2.1` is not in `192.0.2.10`
    text            anywhere

A value is also found percent-encoded, as JSON writes it, and as nginx and Apache escape it (`\xC3`).
"""

import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from urllib.parse import quote

from pipeline.errors import ConfigurationError
from pipeline.formats.privacy import pseudonym, pseudonym_address

#: Fewest characters of a value: one or two stand in nearly every line.
LEAST_CHARACTERS = 3
#: Takes the place of an erased line's bytes where its length must stay.
BLANK = b"*"
#: Stands before what is hashed, so that the hash is none of the pseudonyms that the same key makes.
CONTEXT = b"sluice erasure 1\n"
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


class Kind(StrEnum):
    """What a value is of its subject."""

    USER = "user"
    IP = "ip"
    SESSION = "session"
    EMAIL = "email"
    TEXT = "text"


#: The columns of clean that hold a value of each kind and nothing else.
FIELDS = {
    Kind.USER: ("user_name",),
    Kind.IP: ("ip", "client_host"),
    Kind.SESSION: ("session",),
    Kind.EMAIL: ("user_name",),
    Kind.TEXT: (),
}
#: What must not stand before and behind a value, by kind.
_WORD = (r"(?<!\w)", r"(?!\w)")
_BOUNDS = {
    Kind.USER: _WORD,
    Kind.SESSION: _WORD,
    Kind.EMAIL: (r"(?<!\w)(?<!\w[.+\-])", r"(?!\w|[.\-]\w)"),
    Kind.IP: (r"(?<!\w)(?<!\w\.)", r"(?!\w|\.\w)"),
    Kind.TEXT: ("", ""),
}
_IP_VERSION_6 = (r"(?<![\w:])(?<!\w\.)", r"(?![\w:]|\.\w)")
#: What may: the end of an escaped character, whose letters and digits belong to no word.
_ESCAPE = r"(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\[nrt])"


@dataclass(frozen=True)
class Subject:
    """A kind and a value, which is shown nowhere.

    Attributes:
        key: of the pseudonyms that clean holds in place of values; empty for none.
    """

    kind: Kind
    value: str
    key: bytes = b""

    def __repr__(self) -> str:
        """Name the kind alone: this text may reach logs."""
        return f"<subject by {self.kind}>"

    @property
    def ignores_case(self) -> bool:
        """Whether upper and lower case are the same."""
        return self.kind in (Kind.IP, Kind.EMAIL)

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """How a line may write the value."""
        forms = _address_forms(self.value) if self.kind is Kind.IP else [self.value]
        return tuple(dict.fromkeys(form for value in forms for form in _encodings(value)))

    @cached_property
    def pseudonyms(self) -> tuple[str, ...]:
        """What the key has made of the value, where it stands in clean."""
        if not self.key:
            return ()
        if self.kind is Kind.IP:
            made = [pseudonym_address(self.key, form) for form in _address_forms(self.value)]
            return tuple(dict.fromkeys([*made, pseudonym(self.key, self.value)]))
        return (pseudonym(self.key, self.value),)

    @cached_property
    def field_values(self) -> frozenset[str]:
        """What the subject's own columns hold of it, in lower case where case is ignored."""
        forms = _address_forms(self.value) if self.kind is Kind.IP else [self.value]
        return frozenset(map(self._folded, [*forms, *self.pseudonyms]))

    def is_field(self, value: str | None) -> bool:
        """Return whether a column of the subject's holds its value or the pseudonym of it."""
        return value is not None and self._folded(value) in self.field_values

    def holds(self, text: str) -> bool:
        """Return whether a text holds the value, or a pseudonym of it."""
        # Nearly every text holds no spelling at all: looked for as it is, ten times as fast as the pattern.
        folded = self._folded(text)
        return any(word in folded for word in self._words) and self._pattern.search(text) is not None

    def masked(self, text: str) -> str:
        """Return a text with stars for the value."""
        return self._pattern.sub("***", text)

    def lines_of(self, block: bytes) -> list[tuple[int, int]]:
        """Return start and end in the block of each line that holds the value, its newline included."""
        if not self.holds(readable(block)):
            return []
        return [match.span() for match in _LINE.finditer(block) if self.holds(readable(match[0]))]

    def digest(self, key: bytes) -> str:
        """Return the keyed hash of kind and value: with the key a person can tell whom a receipt is about."""
        value = self.value.lower() if self.ignores_case else self.value
        return hmac.digest(key, CONTEXT + f"{self.kind}\n{value}".encode(), hashlib.sha256).hex()

    def _folded(self, value: str) -> str:
        return value.lower() if self.ignores_case else value

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return tuple(map(self._folded, (*self.spellings, *self.pseudonyms)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        before, behind = _BOUNDS[self.kind]
        if self.kind is Kind.IP and ":" in self.value:
            before, behind = _IP_VERSION_6
        words = "|".join(re.escape(each) for each in (*self.spellings, *self.pseudonyms))
        flags = re.IGNORECASE if self.ignores_case else 0
        return re.compile(f"(?:{_ESCAPE}|{before})(?:{words}){behind}", flags)


def subject(kind: Kind, value: str, key: bytes = b"") -> Subject:
    """Return the subject of a value that a person gave.

    Raises:
        ConfigurationError: names the option and what to change; never the value.
    """
    value = value.strip()
    if len(value) < LEAST_CHARACTERS:
        raise ConfigurationError(
            f"--{kind}: a value of less than {LEAST_CHARACTERS} characters stands in nearly every line"
        )
    if "\n" in value:
        raise ConfigurationError(f"--{kind}: give one value; a line holds no more than one line")
    if kind is Kind.IP:
        try:
            value = str(ipaddress.ip_address(value))
        except ValueError:
            raise ConfigurationError("--ip: not an IPv4 or IPv6 address") from None
    if kind is Kind.EMAIL and "@" not in value:
        raise ConfigurationError("--email: there is no @ in it; is it a --user?")
    return Subject(kind, value, key)


def blanked(block: bytes, lines: Iterable[tuple[int, int]]) -> bytes:
    """Return a block with stars for these of its lines; every other byte keeps its place."""
    content = bytearray(block)
    for start, end in lines:
        text = end - block.endswith(b"\n", start, end)
        content[start:text] = BLANK * (text - start)
    return bytes(content)


def readable(line: bytes) -> str:
    """Return bytes of a log as the text that `holds` takes; any bytes do."""
    return line.decode(errors="surrogateescape")


def _address_forms(value: str) -> list[str]:
    address = ipaddress.ip_address(value)
    return list(dict.fromkeys([address.compressed, address.exploded]))


def _encodings(value: str) -> list[str]:
    percent = quote(value, safe="", errors="surrogateescape")
    escaped = "".join(
        character if character.isascii() and character not in '"\\' else _hex_escaped(character)
        for character in value
    )
    forms = [value, percent, escaped]
    lowered = [re.sub(r"(%|\\x)([0-9A-F]{2})", lambda m: m[0].lower(), form) for form in forms[1:]]
    return [*forms, *lowered, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]


def _hex_escaped(character: str) -> str:
    return "".join(f"\\x{byte:02X}" for byte in character.encode(errors="surrogateescape"))
