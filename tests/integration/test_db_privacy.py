"""The policy holds on its way into the database, whichever command stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.cleaned import Choice
from db.difference import preview
from db.engine import reading
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.formats import privacy
from pipeline.formats.privacy import Policy

ADDRESSES = [f"203.0.113.{number}" for number in range(1, 200)] + [
    f"2001:db8:1:{n:x}::9" for n in range(1, 50)
]
SOURCE = Source("ab" * 16, "web-1", "/var/log/access.log", format="combined")
RULES = '[columns]\nip = "{}"\nquery = "redact"\nreferer = "redact"\nuser_name = "pseudonym"\n'


def block() -> bytes:
    """Return lines of these addresses, each with a secret in its URL, some with an escaped quote."""
    return b"".join(
        f'{address} - ann [01/Mar/2023:00:00:09 +0000] "GET /a?token=canary-{number} HTTP/1.1" 200 12 '
        f'"https://a.example/?sid=canary" "curl{chr(92) + chr(34) if number % 7 == 0 else ""}"\n'.encode()
        for number, address in enumerate(ADDRESSES)
    )


@pytest.fixture(params=["truncate", "pseudonym"])
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Policy]:
    """A policy of a file, the policy of this process until the test ends."""
    path = tmp_path / "privacy.toml"
    path.write_text(RULES.format(request.param))
    read = privacy.read(path, b"k" * 32)
    privacy.adopt(read)
    yield read
    privacy.adopt(Policy())


def found(engine: Engine) -> str:
    """Return everything that the view of clean records shows."""
    with reading(engine) as connection:
        return "\n".join(map(str, connection.execute(text("SELECT * FROM clean_logs")).all()))


def leaks(shown: str) -> list[str]:
    """Return what a reader sees of addresses, users and secrets."""
    return [word for word in (*(f"'{each}'" for each in ADDRESSES), "canary", "'ann'") if word in shown]


@pytest.mark.usefixtures("policy")
def test_no_address_or_secret_is_in_clean(engine: Engine) -> None:
    """Every record is there without them; the lake keeps the lines as they are."""
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(Batch(SOURCE, 0, block()))

    shown = found(engine)

    assert shown.count("\n") + 1 == len(ADDRESSES)
    assert leaks(shown) == []
    with reading(engine) as connection:
        assert "canary" in str(connection.execute(text("SELECT line FROM raw_logs")).first())


def test_a_replay_brings_old_records_under_the_policy(engine: Engine, policy: Policy) -> None:
    """What was stored before the policy is replaced by `replay clean --all`; the dry run shows no more."""
    privacy.adopt(Policy())
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(Batch(SOURCE, 0, block()))
    assert leaks(found(engine))
    privacy.adopt(policy)
    (source,) = list_sources(engine)

    changed = preview(engine, source, Choice(None, None, redo=True)).changed
    replay(engine, source, Choice(None, None, redo=True))

    assert {"ip", "query", "referer", "user_name"} <= changed.keys()
    assert not [new for change in changed.values() for _, new in change.examples if leaks(f"'{new}'")]
    assert leaks(found(engine)) == []
