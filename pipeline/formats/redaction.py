"""Secrets in URLs and texts, taken out by their names and by their forms.

Names tell most: the value of `token=` is one, whatever it looks like. Forms tell the rest: JSON Web Tokens,
Authorization headers, user and password of a URL, card numbers that pass Luhn's check, e-mail addresses. What
is neither named nor formed like a secret stays: this lowers what leaks, and proves nothing free of secrets.
"""

import re
from urllib.parse import unquote_plus

#: Stands where something was taken out.
MASK = "***"
#: Names of parameters, lower case with _ for - and ., that hold secrets, alone or as a name's last part.
NAMES = {
    "token", "jwt", "auth", "authorization", "bearer", "credential", "credentials", "secret", "password",
    "passwd", "pwd", "otp", "apikey", "signature", "sig", "session", "sessionid", "sid", "phpsessid",
    "jsessionid", "sessid", "cookie", "csrf", "xsrf", "assertion", "samlresponse", "email", "mail", "card",
    "cardnumber", "cvv", "iban",
}  # fmt: skip
#: Names that are secrets as they stand, and ordinary as the end of another: `code`, and `country_code`.
WHOLE_NAMES = {
    "code", "state", "nonce", "pin", "pass", "key", "ticket", "api_key", "x_api_key", "access_key",
    "secret_key", "private_key", "session_id", "card_number", "signin_code",
}  # fmt: skip
#: A pair of a query, a path or a cookie; its value ends where the next one begins.
PAIR = re.compile(r"(?<![^?&;#/\s])([^=&;?#/\s]{1,200})=([^&;#\s]+)")
#: Texts that are secrets by their form; each begins where no longer one can, so the time is linear.
FORMS = (
    re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*"),
    re.compile(r"(?i)(?<!\w)(?:bearer|basic)(?:\s|%20|\+)+[\w.~+/=%-]{6,}"),
    re.compile(r"(?<=://)[^/?#@\s]{1,300}(?:@|%40)(?=[^/?#@\s])"),
    re.compile(r"(?<![\w.%+-])[\w.%+-]{1,99}?(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"),
)
#: Thirteen to nineteen digits, in groups or not.
CARD = re.compile(r"(?<![\d.])\d(?:(?:[ +-]|%20)?\d){12,18}(?!\d)")


def redacted(text: str) -> str:
    """Return a text with `***` in place of each secret that is found in it."""
    text = PAIR.sub(_pair, text)
    text = FORMS[2].sub(MASK + "@", text)
    for form in (*FORMS[:2], FORMS[3]):
        text = form.sub(MASK, text)
    return CARD.sub(_card, text)


def _pair(match: re.Match[str]) -> str:
    name = re.sub(r"[-.\[\]]", "_", unquote_plus(match[1])).lower().strip("_")
    is_secret = name in WHOLE_NAMES or name.rpartition("_")[2] in NAMES
    return f"{match[1]}={MASK}" if is_secret else match[0]


def _card(match: re.Match[str]) -> str:
    digits = [int(digit) for digit in match[0].replace("%20", "") if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return MASK if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else match[0]
