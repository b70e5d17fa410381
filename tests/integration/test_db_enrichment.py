"""Enriched records in both databases: stored, replayed after a file changed, and nothing lost without it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.cleaned import Choice
from db.difference import preview
from db.engine import reading
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.enrich.enrichment import Enrichment
from pipeline.errors import ConfigurationError
from tests.mmdb import ASN, CITY, write_database

AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
PARTS = ("address", "agent")
ADDED = "ip_scope, country, city, asn, browser, os, device, is_bot, extra"


def line(ip: str, agent: str = AGENT, user: str = "-", status: int = 200) -> bytes:
    """Return a line of the combined format."""
    time = "17/May/2015:10:05:03 +0000"
    return f'{ip} - {user} [{time}] "GET / HTTP/1.1" {status} 1 "-" "{agent}"\n'.encode()


BLOCK = line("1.2.3.4") + line("10.0.0.1", "curl/8.0") + b"no line\n" + line("host", "-")


def batch(format_: str = "combined", block: bytes = BLOCK) -> Batch:
    """Return a batch of the block."""
    return Batch(Source("ef" * 16, "web-1", "/log", format=format_), 0, block)


def rows(engine: Engine, columns: str = ADDED) -> list[tuple[Any, ...]]:
    """Return columns of the view, in the order of the lines."""
    with reading(engine) as connection:
        return [
            tuple(row)
            for row in connection.execute(text(f"SELECT {columns} FROM clean_logs ORDER BY line_start"))
        ]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of one network, with country, city and number."""
    return write_database(tmp_path / "geo.mmdb", {"1.2.3.0/24": CITY | ASN})


def test_all_columns_are_stored(engine: Engine, database: Path, tmp_path: Path) -> None:
    """What address, agent and tables tell stands in the view, NULL where nothing is known."""
    (tmp_path / "ip.csv").write_text("ip,team\n10.0.0.1,blue\n")

    CleanStore(engine, Enrichment(PARTS, [database], tmp_path)).store(batch())

    first, second, third = rows(engine)
    assert first == (None, "NZ", "Dunedin", 64500, "Mobile Safari", "iOS", "iPhone", False, None)
    assert second[:-1] == ("private", None, None, None, "curl", None, None, True)
    assert second[-1] in ({"team": "blue"}, '{"team":"blue"}')
    assert third == (None,) * 9


@pytest.mark.parametrize("format_", ["combined", "common", "proxy"])
def test_what_the_view_tells_holds_for_every_format(engine: Engine, format_: str) -> None:
    """Status text and parts of an e-mail address follow from the record whatever format it came from."""
    head = b'1.2.3.4 - jane@example.org [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 404 1'
    tail = {"combined": b' "-" "-"', "common": b"", "proxy": b" -"}[format_]

    CleanStore(engine, Enrichment(PARTS)).store(batch(format_, head + tail + b"\n"))

    (row,) = rows(engine, 'status_verbose, is_email, email_domain, "user", ip_scope')
    assert row == ("Not Found", True, "example.org", "jane@example.org", None)


def test_changed_file_changes_what_comes_after(engine: Engine, database: Path) -> None:
    """A running store takes up a replaced database without a restart, for fields it has met before too."""
    store = CleanStore(engine, Enrichment(PARTS, [database], look_seconds=0))
    store.store(batch())

    write_database(database, {"1.2.3.0/24": {"city": {"names": {"en": "Napier"}}}})
    store.store(Batch(batch().source, len(BLOCK), line("1.2.3.4")))

    assert [city for (city,) in rows(engine, "city")] == ["Dunedin", None, None, "Napier"]


def test_missing_file_loses_nothing(engine: Engine, database: Path) -> None:
    """Without its file nothing of the batch is stored; when it is there, all of it, once."""
    store = CleanStore(engine, Enrichment(PARTS, [database]))
    database.rename(database.with_suffix(".away"))
    with pytest.raises(ConfigurationError, match="SLUICE_GEOIP"):
        store.store(batch())
    assert rows(engine) == []

    database.with_suffix(".away").rename(database)
    stored = store.store(batch())

    assert (stored.records, stored.rejected, len(rows(engine))) == (3, 1, 3)


def test_replay_brings_what_is_known_today(engine: Engine, database: Path) -> None:
    """A dry run shows the changed columns with examples, the replay writes them, and then nothing differs."""
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(batch())
    (source,), enrichment = list_sources(engine), Enrichment(PARTS, [database])
    assert rows(engine) == [(None,) * 9] * 3

    found = preview(engine, source, Choice(redo=True), enrichment)
    assert {name: change.count for name, change in found.changed.items()} == {
        **dict.fromkeys(("ip_scope", "country", "city", "asn", "os", "device"), 1),
        **dict.fromkeys(("browser", "is_bot"), 2),
    }
    assert found.changed["city"].examples == [(None, "Dunedin")]
    replay(engine, source, Choice(redo=True), enrichment)

    assert rows(engine, "country, browser") == [("NZ", "Mobile Safari"), (None, "curl"), (None, None)]
    assert not preview(engine, source, Choice(redo=True), enrichment).changed
