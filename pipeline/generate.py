"""Makes realistic log lines, the same for the same seed, faster than anything that reads them."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import ConfigurationError

#: Lines made at a time; long enough that the work per block does not show, short enough to stay in the cache.
BLOCK_LINES = 5000
#: Sizes of the pools that fields are drawn from.
CLIENTS, TARGETS, AGENTS, REFERERS, RESPONSES = 5000, 20_000, 300, 4000, 40_000
#: Time of the first line when none is given.
FIRST_TIME = datetime(2026, 1, 1, tzinfo=UTC)
#: Lines per second of log time, from and to.
TRAFFIC = (5, 35)

METHODS = ("GET",) * 17 + ("POST", "HEAD", "PUT")
STATUSES = (200,) * 80 + (304,) * 8 + (301, 302, 206, 204) + (404,) * 5 + (403, 400, 500)
WORDS = (  # noqa: SIM905 - easier to read than sixty strings
    "account album archive article asset basket blog cart catalogue checkout comment contact docs download "
    "editor event feed forum gallery guide help image index invoice item journal label login map message "
    "news offer order page photo price product profile report review search session shop static status store "
    "summary support tag team ticket topic travel update upload user video weather wiki"
).split()
SUFFIXES = ("", "", "", "/", ".html", ".css", ".js", ".png", ".jpg", ".json")
NAMES = ("jane", "ali", "mei", "lucas", "ines", "noor", "ivan", "sofia", "tom", "aya")
SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; Ubuntu; Linux x86_64; rv:{major}.0",
    "Linux; Android 14; Pixel 8",
    "iPhone; CPU iPhone OS 17_5 like Mac OS X",
)
ENGINES = (
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.{minor}.{patch} Safari/537.36",
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36 Edg/{major}.0.{minor}.{patch}",
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{minor} Safari/605.1.15",
    "Gecko/20100101 Firefox/{major}.0",
)
ROBOTS = (
    "curl/8.{minor}.0",
    "python-requests/2.{minor}.1",
    "ExampleBot/{major}.{minor} (+https://bot.example)",
)
#: Lines that real servers log and that break naive parsers; none holds a newline.
HOSTILE = (
    b"",
    b"not a log line at all",
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /cut HTT',
    b'203.0.113.7 - - [31/Feb/2026:00:00:00 +0000] "GET /never HTTP/1.1" 200 12 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "\\x16\\x03\\x01\\x02\\x00\\x01" 400 0 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "\x16\x03\x01\x02\x00\x01\xfc\x03" 400 0 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /\xff\xfe/latin-\xe9 HTTP/1.1" 404 9 "-" "caf\xe9"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /nul\x00byte HTTP/1.1" 200 12 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /a"b" HTTP/1.1" 200 12 "-" "say \\"hi\\" \\\\"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /big HTTP/1.1" 200 99999999999999999999 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 2000 12 "-" "-"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "-" 408 - "-" "-"\r',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /${jndi:ldap://x.y} HTTP/1.1" 200 1 "-" "\x1b[2J"',
    b'203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET /' + b"a" * 9000 + b' HTTP/1.1" 414 0 "-" "-"',
)


class _Layout(NamedTuple):
    """How a format's line is put together: a template and the pool of each field; None is the time."""

    template: bytes
    pools: tuple[list[bytes] | None, ...]
    zone: timezone


def generate_blocks(
    count: int,
    *,
    seed: int = 0,
    format: str = "combined",  # noqa: A002 - the word of the glossary
    broken: float = 0.0,
    start: datetime = FIRST_TIME,
) -> Iterator[list[bytes]]:
    """Yield `count` lines in lists of up to 5,000; each line ends with its newline.

    Args:
        count: lines in all.
        seed: the same seed gives the same lines.
        format: `combined`, `common` or `proxy`.
        broken: share of hostile lines, 0 to 1, drawn from HOSTILE.
        start: time of the first line; later lines never go back.

    Raises:
        ConfigurationError: the format is not one of the three, or the share is not between 0 and 1.
    """
    if format not in LAYOUTS:
        raise ConfigurationError(f"format {format!r} cannot be generated; use one of {', '.join(LAYOUTS)}")
    if not 0 <= broken <= 1:
        raise ConfigurationError(f"share of broken lines is {broken}; use 0 to 1")
    return _blocks(count, random.Random(f"{seed}:{format}"), LAYOUTS[format], broken, start)  # noqa: S311


def generate_lines(
    count: int,
    seed: int = 0,
    format: str = "combined",  # noqa: A002
    *,
    broken: float = 0.0,
    start: datetime = FIRST_TIME,
) -> Iterator[bytes]:
    """Yield `count` lines one by one, as `generate_blocks` makes them."""
    for lines in generate_blocks(count, seed=seed, format=format, broken=broken, start=start):
        yield from lines


def write_file(
    path: Path,
    count: int,
    *,
    seed: int = 0,
    format: str = "combined",  # noqa: A002
    broken: float = 0.0,
    start: datetime = FIRST_TIME,
) -> int:
    """Write `count` lines to a file, replacing it, and return its size in bytes."""
    blocks = generate_blocks(count, seed=seed, format=format, broken=broken, start=start)
    with Path(path).open("wb") as file:
        return sum(file.write(b"".join(lines)) for lines in blocks)


def _blocks(
    count: int, rng: random.Random, layout: Callable[[random.Random], _Layout], broken: float, start: datetime
) -> Iterator[list[bytes]]:
    template, pools, zone = layout(rng)
    times = _times(rng, start.astimezone(zone))
    for done in range(0, count, BLOCK_LINES):
        size = min(BLOCK_LINES, count - done)
        columns = [
            [next(times) for _ in range(size)] if pool is None else rng.choices(pool, k=size)
            for pool in pools
        ]
        lines = list(map(template.__mod__, zip(*columns, strict=True)))
        if broken:
            _break(lines, rng, broken)
        yield lines


def _break(lines: list[bytes], rng: random.Random, share: float) -> None:
    for position in range(len(lines)):
        if _chance(rng, share):
            lines[position] = rng.choice(HOSTILE) + b"\n"


def _times(rng: random.Random, first: datetime) -> Iterator[bytes]:
    second = first
    while True:
        stamp = second.strftime("%d/%b/%Y:%H:%M:%S %z").encode()
        for _ in range(rng.randint(*TRAFFIC)):
            yield stamp
        second += timedelta(seconds=1)


def _chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _popular(pool: list[bytes]) -> list[bytes]:
    """Return the pool with its first members repeated, so that a plain draw prefers them as people do."""
    return [member for rank, member in enumerate(pool) for _ in range(1 + len(pool) // (8 * (rank + 1)))]


def _address(rng: random.Random) -> str:
    if _chance(rng, 0.1):
        return str(IPv6Address((0x20010DB8 << 96) | rng.getrandbits(96)))
    return f"{rng.randint(1, 223)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randint(1, 254)}"


def _path(rng: random.Random) -> str:
    parts = "/".join(rng.choices(WORDS, k=rng.randint(1, 4)))
    query = "&".join(f"{rng.choice(WORDS)}={rng.getrandbits(24):x}" for _ in range(rng.randrange(4)))
    return f"/{parts}{rng.choice(SUFFIXES)}{'?' if query else ''}{query}"


def _request(rng: random.Random, prefix: str) -> bytes:
    version = "2.0" if _chance(rng, 0.3) else "1.1"
    return f"{rng.choice(METHODS)} {prefix}{_path(rng)} HTTP/{version}".encode()


def _response(rng: random.Random) -> bytes:
    status = rng.choice(STATUSES)
    return (
        f"{status} {0 if status == HTTPStatus.NOT_MODIFIED else int(rng.lognormvariate(8.5, 1.8))}".encode()
    )


def _agent(rng: random.Random) -> bytes:
    if _chance(rng, 0.1):
        shape = rng.choice(ROBOTS)
    else:
        shape = f"Mozilla/5.0 ({rng.choice(SYSTEMS)}) {rng.choice(ENGINES)}"
    return shape.format(
        major=rng.randint(90, 140), minor=rng.randint(0, 9), patch=rng.randint(0, 200)
    ).encode()


def _referer(rng: random.Random) -> bytes:
    if _chance(rng, 0.35):
        return b"-"
    return f"https://{rng.choice(WORDS)}.example{_path(rng)}".encode()


def _session(rng: random.Random) -> str:
    return f"{rng.getrandbits(80):020x}"[:15] if _chance(rng, 0.7) else "-"


def _user(rng: random.Random) -> str:
    return rng.choice(NAMES) if _chance(rng, 0.05) else "-"


def _mail(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)}.{rng.choice(WORDS)}@example.org" if _chance(rng, 0.4) else _user(rng)


def _common(rng: random.Random) -> _Layout:
    clients = [f"{_address(rng)} - {_user(rng)}".encode() for _ in range(CLIENTS)]
    requests = _popular([_request(rng, "") for _ in range(TARGETS)])
    responses = [_response(rng) for _ in range(RESPONSES)]
    return _Layout(b'%b [%b] "%b" %b\n', (_popular(clients), None, requests, responses), timezone.utc)  # noqa: UP017


def _combined(rng: random.Random) -> _Layout:
    common = _common(rng)
    agents = _popular([_agent(rng) for _ in range(AGENTS)])
    referers = _popular([_referer(rng) for _ in range(REFERERS)])
    return _Layout(b'%b [%b] "%b" %b "%b" "%b"\n', (*common.pools, referers, agents), common.zone)


def _proxy(rng: random.Random) -> _Layout:
    clients = [f"{_address(rng)} {_session(rng)} {_mail(rng)}".encode() for _ in range(CLIENTS)]
    hosts = [f"https://{word}.example.org:443" for word in WORDS]
    requests = _popular([_request(rng, rng.choice(hosts)) for _ in range(TARGETS)])
    responses = [_response(rng) for _ in range(RESPONSES)]
    zone = timezone(timedelta(hours=-5))
    return _Layout(b'%b [%b] "%b" %b -\n', (_popular(clients), None, requests, responses), zone)


#: The formats that can be generated.
LAYOUTS: dict[str, Callable[[random.Random], _Layout]] = {
    "combined": _combined,
    "common": _common,
    "proxy": _proxy,
}
