"""Text of a request as the server behind would read it: decoded twice, in lower case."""

import re
from urllib.parse import unquote

#: Characters of a text that are looked at: longer ones are attacks on whoever looks.
MOST_CHARACTERS = 2048
#: Rounds of decoding: two, as a proxy and the server behind it do.
ROUNDS = 2
#: Stands between the parameters of a query; no decoded text holds it.
BETWEEN = "\x1f"
#: What old servers took for a character: UTF-8 that is longer than it need be, and IIS's own escapes.
_OVERLONG = {"%c0%ae": ".", "%c0%2e": ".", "%e0%80%ae": ".", "%c0%af": "/", "%e0%80%af": "/", "%c1%9c": "\\"}
_OVERLONG_FORMS = re.compile("|".join(map(re.escape, _OVERLONG)))
_UNICODE = re.compile(r"%u00([0-9a-f]{2})")


def readable_url(path: str | None, query: str | None) -> str:
    """Return path and parameters, each decoded by itself, `BETWEEN` between them."""
    text = readable(path or "")
    if query:
        parts = query[:MOST_CHARACTERS].split("&")
        text = BETWEEN.join([text, *(readable(part.replace("+", " ")) for part in parts)])
    return text


def readable(text: str) -> str:
    """Return text decoded and in lower case."""
    text = text[:MOST_CHARACTERS].lower()
    if "%" not in text:
        return text
    for _ in range(ROUNDS):
        text = _OVERLONG_FORMS.sub(lambda found: _OVERLONG[found[0]], text)
        text = unquote(_UNICODE.sub(r"%\1", text), errors="replace").lower()
    return text.replace(BETWEEN, " ")
