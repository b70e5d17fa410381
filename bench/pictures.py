"""Pictures of the page for the README: a made-up day of a site, stored as any other, looked at in Chromium.

Run by `make screenshots`; takes a minute, and needs what checks need (requirements-dev.txt, chromium).
"""

import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from bench.browser import chromium
from bench.serving import serving
from db import drifting, schema
from db.detecting import Look
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import reader
from pipeline.settings import Settings

#: The day, and the minutes in which an attack and a failing release are.
DAY = datetime(2026, 3, 3, tzinfo=UTC)
ATTACK, FAILURE = range(520, 535), range(1000, 1090)
#: Records a minute at night, and how many more there are by day.
QUIET, BUSY = 25, 45
PATHS = ("/", "/search", "/cart", "/checkout", "/account", "/api/items", "/api/orders", "/login", "/help")
PROBES = ("/.env", "/wp-login.php", "/.git/config", "/admin.php", "/etc/passwd", "/phpmyadmin/")
_WINDOWS, _PHONE = "Windows NT 10.0; Win64; x64", "iPhone; CPU iPhone OS 17_5 like Mac OS X"
AGENTS = (
    f"Mozilla/5.0 ({_WINDOWS}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0 Safari/537.36",
    f"Mozilla/5.0 ({_PHONE}) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "ExampleBot/2.1 (+https://bot.example)",
)
#: Name of a picture → width and height of the window, colours.
PICTURES: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "page": (1280, 1480, "light"),
    "page-dark": (1280, 1480, "dark"),
    "page-phone": (390, 1500, "dark"),
}
#: Lines of a batch: as many as a busy minute or two.
BATCH_LINES = 400


def day() -> Iterator[bytes]:
    """Yield the lines of the day in the order of time."""
    chance = random.Random(7)  # noqa: S311 - a picture
    for minute in range(24 * 60):
        course = (1 - math.cos(math.tau * (minute / 1440 - 0.12))) / 2
        times = sorted(chance.random() * 60 for _ in range(QUIET + int(BUSY * course)))
        for second in times:
            yield _line(chance, DAY + timedelta(minutes=minute, seconds=second), fails=minute in FAILURE)
        if minute in ATTACK:
            for number in range(12):
                yield _probe(chance, DAY + timedelta(minutes=minute, seconds=number * 5))


def _line(chance: random.Random, at: datetime, *, fails: bool) -> bytes:
    path = chance.choices(PATHS, (30, 14, 8, 5, 6, 16, 9, 4, 3))[0]
    bad = fails and path.startswith(("/api", "/checkout")) and chance.random() < 0.35  # noqa: PLR2004
    took = chance.lognormvariate(-3.2 + 1.6 * bad, 0.6) * (3 if path == "/search" else 1)
    return _json(
        at,
        remote_addr=f"198.51.{chance.randrange(100, 104)}.{chance.randrange(1, 255)}",
        path=path,
        status=503 if bad else chance.choices((200, 304, 302, 404, 403, 500), (82, 9, 4, 4, 1, 0.2))[0],
        request_time=round(took, 4),
        bytes=int(400 + 90_000 * took),
        user_agent=chance.choices(AGENTS, (55, 25, 15, 5))[0],
    )


def _probe(chance: random.Random, at: datetime) -> bytes:
    path = chance.choice(PROBES)
    return _json(at, remote_addr="203.0.113.66", path=path, status=404, bytes=150, user_agent="zgrab/0.x")


def _json(at: datetime, **fields: object) -> bytes:
    return (
        json.dumps({"time": at.isoformat(timespec="milliseconds"), "method": "GET", **fields}).encode()
        + b"\n"
    )


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        settings = Settings(state_dir=Path(state))
        _store(settings)
        with reader.parts(settings, "pictures") as parts, serving(parts) as port:
            ends = {"since": f"{DAY:%Y-%m-%dT%H:%M}", "until": f"{DAY + timedelta(days=1):%Y-%m-%dT%H:%M}"}
            address = f"http://127.0.0.1:{port}/?{urlencode(ends)}"
            for name, (width, height, scheme) in PICTURES.items():
                _take(address, folder / f"{name}.png", {"width": width, "height": height}, scheme)


def _store(settings: Settings) -> None:
    schema.upgrade(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url)
    source, position, lines = (
        Source("ab" * 16, "web-1", "/var/log/nginx/shop.log", format="json"),
        0,
        list(day()),
    )
    lines[9000:9003] = [b'{"time": "2026-03-03T03:00:00Z", "status": \n', b"panic: out of memory\n", b"{}\n"]
    stores = (LakeStore(engine), CleanStore(engine, settings.enrichment))
    for first in range(0, len(lines), BATCH_LINES):
        batch = Batch(source, position, b"".join(lines[first : first + BATCH_LINES]))
        for store in stores:
            store.store(batch)
        position = batch.end
    drifting.look(engine, 60)
    Look(engine, settings.rules).look(60)
    engine.dispose()


def _take(address: str, target: Path, window: Any, scheme: str) -> None:
    with chromium(viewport=window, color_scheme=scheme) as browser:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_function("() => !/still counting/.test(document.body.innerText)")
        page.screenshot(path=target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
