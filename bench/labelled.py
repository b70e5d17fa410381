"""Labelled samples as lines of logs: requests (*.toml) and bursts, each from an address of its own."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

#: The samples that rules were corrected by, and those that were written later.
SEEN, UNSEEN = (Path(__file__).with_name(f"{name}.toml") for name in ("labelled", "unseen"))
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
#: How the attacks are answered in turn; what is probed for is not there.
STATUSES = (200, 404, 403, 500, 302)


@dataclass
class Labels:
    """What is known of the addresses and users in the lines.

    Attributes:
        right: subject → the rule that must tell of it; None must not be told of at all.
        also: subject → rules that are right as well.
        lines: second of the line, and the line.
        logins: the same for sshd.
    """

    right: dict[str, str | None] = field(default_factory=dict)
    also: dict[str, set[str]] = field(default_factory=dict)
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    logins: list[tuple[int, bytes]] = field(default_factory=list)

    def address(self, rule: str | None, also: set[str] | None = None) -> str:
        """Return a new address with its label."""
        number = len(self.right)
        found = f"198.18.{number // 250}.{number % 250 + 1}"
        self.right[found] = rule
        self.also[found] = also or set()
        return found

    def request(  # noqa: PLR0917 - the fields of a line
        self,
        second: int,
        address: str,
        target: str,
        status: int = 200,
        agent: str = AGENT,
        method: str = "GET",
    ) -> None:
        """Add a line of a web server, the target encoded as clients do."""
        at = (START + timedelta(seconds=second)).strftime("%d/%b/%Y:%H:%M:%S +0000")
        sent = quote(target, safe="!#$%&'()*+,-./:;<=>?@[]^_`{|}~")
        line = f'{address} - - [{at}] "{method} {sent} HTTP/1.1" {status} 512 "-" "{agent}"\n'
        self.lines.append((second, line.encode()))

    def login(self, second: int, said: str) -> None:
        """Add a line of sshd."""
        at = (START + timedelta(seconds=second)).isoformat()
        self.logins.append((second, f"{at} web-1 sshd[4711]: {said}\n".encode()))


def labelled() -> Labels:
    """Return the samples that rules were corrected by, and the bursts."""
    labels = _sampled(SEEN)
    for burst in (_logins, _users, _scans, _agentless, _sshd):
        burst(labels)
    return labels


def unseen() -> Labels:
    """Return the samples that were written later."""
    return _sampled(UNSEEN)


def _sampled(path: Path) -> Labels:
    labels = Labels()
    samples = tomllib.loads(path.read_text(encoding="utf-8"))
    second = 0
    for rule, section in samples["attacks"].items():
        for url, agent in _requests(section):
            second += 1
            status = 404 if rule == "probe" else STATUSES[second % len(STATUSES)]
            labels.request(second, labels.address(rule, set(section["also"])), url, status, agent)
    for url, agent in _requests(samples["honest"]):
        second += 1
        labels.request(second, labels.address(None), url, 404 if second % 10 == 0 else 200, agent)
    return labels


def _requests(section: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    yield from ((url, AGENT) for url in section.get("urls", ()))
    yield from (("/", agent) for agent in section.get("agents", ()))


def _logins(labels: Labels) -> None:
    """Guessed passwords: fast, slow enough to pass for nobody, against a page that comes back; and people."""
    for gap, count in ((1, 100), (5, 60), (12, 40), (0, 25)):
        guesser, poster = labels.address("brute-force"), labels.address("brute-force", {"probe"})
        for n in range(count):
            labels.request(n * gap, guesser, "/admin/", 401)
            labels.request(n * gap, poster, "/wp-login.php", 200, method="POST")
    for count in (1, 3, 8, 15):
        forgetful = labels.address(None)
        for n in range(count):
            labels.request(20 * n, forgetful, "/admin/", 401)
        labels.request(20 * count, forgetful, "/admin/", 200)
    office = labels.address(None)
    for n in range(200):
        labels.request(10 * n, office, "/login", 302, method="POST")
    client = labels.address(None)
    for n in range(300):
        labels.request(2 * n, client, "/api/orders", 201, method="POST")


def _users(labels: Labels) -> None:
    """Users whom many addresses try, none of them often; and one who mistypes from two machines."""
    for user, count, right in (
        ("root", 60, "brute-force-user"),
        ("oracle", 30, "brute-force-user"),
        ("eva", 4, None),
    ):
        labels.right[user], labels.also[user] = right, set()
        for n in range(count):
            address = labels.address(None)
            labels.login(5 * n, f"Failed password for {user} from {address} port 22 ssh2")


def _scans(labels: Labels) -> None:
    """Lists of paths, fast and at leisure; a crawler with stale links, and a page with a broken image."""
    for gap, count in ((0, 60), (1, 200), (5, 60), (9, 50)):
        scanner = labels.address("scan", {"probe", "sensitive-file"})
        for n in range(count):
            labels.request(n * gap, scanner, f"/{'abcdefghij'[n % 10]}{n}/login", 404)
    crawler, visitor, impatient = (labels.address(None) for _ in range(3))
    for n in range(300):
        labels.request(n, crawler, f"/article/{n}", 404 if n % 5 == 0 else 200, "ExampleBot/1.0")
    for n in range(120):
        labels.request(n, visitor, f"/page/{n // 10}", 200)
        labels.request(n, visitor, "/img/missing.png", 404)
    for n in range(20):
        labels.request(n, impatient, f"/old/{n}", 404)


def _agentless(labels: Labels) -> None:
    """Programs without a name, and a health check that asks twice a minute."""
    for gap in (0, 2, 5):
        nameless = labels.address("empty-agent")
        for n in range(80):
            labels.request(n * gap, nameless, "/", 200, "-")
    check = labels.address(None)
    for n in range(60):
        labels.request(30 * n, check, "/health", 200, "-")


def _sshd(labels: Labels) -> None:
    """Guessed passwords on sshd; people and machines that log in, and some who mistype."""
    for gap in (1, 5, 10):
        guesser = labels.address("brute-force")
        for n in range(50):
            labels.login(n * gap, f"Failed password for invalid user u{n} from {guesser} port 4711 ssh2")
    machine, mistyping = labels.address(None), labels.address(None)
    for n in range(200):
        labels.login(3 * n, f"Accepted publickey for deploy from {machine} port 22 ssh2: RSA SHA256:x")
    for n in range(5):
        labels.login(10 * n, f"Failed password for max from {mistyping} port 22 ssh2")
