"""User agents: what is read from them, and that no agent can hold up a pool."""

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enrich.agent import MAX_CHARACTERS, agent_enricher

ENRICHER = agent_enricher()
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
PEOPLE = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36": ("Chrome", "Windows", None),
    f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36 Edg/120.0.0.0": ("Edge", "Linux", None),
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36": (
        "Chrome Mobile",
        "Android",
        "Pixel 8",
    ),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:121.0) Gecko/20100101 Firefox/121.0": (
        "Firefox",
        "Mac OS X",
        "Mac",
    ),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1": ("Mobile Safari", "iOS", "iPhone"),
    f"Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) {CHROME} Mobile Safari/537.36": (
        "Chrome Mobile",
        "Android",
        "NOTE 20",
    ),
    "okhttp/4.9.1": ("okhttp", None, None),
    "no agent that anybody knows": (None, None, None),
    "": (None, None, None),
}
ROBOTS = {
    "curl/8.0.1": "curl",
    "python-requests/2.31": "Python Requests",
    "Go-http-client/1.1": "Go-http-client",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    f"Mozilla/5.0 {CHROME} (compatible; GPTBot/1.0; +https://openai.com/gptbot)": "GPTBot",
    "ExampleBot/90.1 (+https://bot.example)": "ExampleBot",
    "Mozilla/5.0 zgrab/0.x": None,
    "Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)": None,
    "kube-probe/1.27": None,
    "ELB-HealthChecker/2.0": None,
    "Expanse, a company, searches across the global IPv4 space": None,
}


@pytest.mark.parametrize("agent", PEOPLE)
def test_people(agent: str) -> None:
    """Browser, system and device are told, and none of them is a robot."""
    assert ENRICHER.enrich(agent) == (*PEOPLE[agent], False)


@pytest.mark.parametrize("agent", ROBOTS)
def test_robots(agent: str) -> None:
    """Crawlers, monitors, scanners and libraries are robots, without a device."""
    browser, _system, device, is_bot = ENRICHER.enrich(agent)

    assert (browser, device, is_bot) == (ROBOTS[agent], None, True)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read(agent: str) -> None:
    """Whatever a client sends, there is an answer of four values."""
    assert [type(value) in (str, type(None)) for value in ENRICHER.enrich(agent)] == [True] * 3 + [False]


def test_only_the_beginning_is_read() -> None:
    """What comes after the longest agent that is read changes nothing."""
    agent = "curl/8.0".ljust(MAX_CHARACTERS)

    assert ENRICHER.enrich(agent + "Googlebot" * 1000) == ENRICHER.enrich(agent)


def hostile(number: int) -> list[str]:
    """Return agents that make regular expressions go back and forth, different for each number."""
    rng = random.Random(number)
    pieces = ["; Build/", "Mozilla/5.0 (", "Android;", "(KHTML, ", "a", " ", ";", "1.", "Linux; ", "/", "bot"]
    return [f"{number} {piece * MAX_CHARACTERS}"[:MAX_CHARACTERS] for piece in pieces] + [
        "".join(rng.choices(string.printable, k=MAX_CHARACTERS)),
        "".join(rng.choices(pieces, k=200)),
    ]


def test_flood_of_hostile_agents_does_not_stop_a_pool() -> None:
    """A thousand distinct agents made to be slow take less than a millisecond each of processor time."""
    ENRICHER.enrich("first")
    agents = [agent for number in range(80) for agent in hostile(number)]
    started = time.process_time()
    for agent in agents:
        ENRICHER.enrich(agent)

    assert (time.process_time() - started) / len(agents) < 0.001
