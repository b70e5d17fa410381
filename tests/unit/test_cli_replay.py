"""The command `replay clean`, on the embedded database."""

import pytest
from sqlalchemy import Engine

from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, USAGE, main
from pipeline.depths import queue_depths
from pipeline.settings import Settings
from pipeline.topology import MAINTENANCE
from tests.unit.conftest import Answer

LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /\x1b HTTP/1.1" 200 1 "-" "agent"\n'
#: In the lake too, and in the clean stage alone.
WHOLE, GAPPED = Source("ab" * 16, "web-1", "/whole", format="common"), Source("cd" * 16, "web-1", "/gapped")
#: The keys that are promised.
ZERO = dict.fromkeys(
    (
        "ranges",
        "replaced",
        "skipped",
        "lines",
        "records",
        "rejected",
        "newly_parsed",
        "newly_rejected",
        "unavailable",
    ),
    0,
)


@pytest.fixture(autouse=True)
def _stored(database: Engine) -> None:
    LakeStore(database).store(Batch(WHOLE, 0, LINE))
    for source in (WHOLE, GAPPED):
        CleanStore(database).store(Batch(source, 0, LINE))


def test_what_is_of_today_stays(answer: Answer) -> None:
    """Without a change every range is skipped, and every count has its key."""
    found = answer("replay", "clean")

    assert {name: found[name] for name in ZERO} == ZERO | {"ranges": 2, "skipped": 2}
    assert [source["path"] for source in found["sources"]] == ["/whole", "/gapped"]


def test_a_dry_run_and_then_the_replay(answer: Answer) -> None:
    """Both tell the same counts, and only the second one leaves nothing to do."""
    arguments = ("--source", "/whole", "--format", "combined")

    dry = answer("replay", "clean", *arguments, "--dry-run")
    done = answer("replay", "clean", *arguments)

    assert (dry["dry_run"], done["dry_run"]) == (True, False)
    assert dry["newly_parsed"] == done["newly_parsed"] == done["replaced"] == 1
    assert answer("replay", "clean", *arguments)["skipped"] == 1


def test_bytes_that_the_lake_lacks_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """A range without bytes ends with code 1 and says what to do first."""
    assert main(["replay", "clean", "--all"]) == FAILED

    printed = capsys.readouterr()
    assert "audit --repair first" in printed.err
    assert f"[0, {len(LINE)})" in printed.err
    assert "\x1b" not in printed.out


def test_since_is_a_moment_of_storing(answer: Answer) -> None:
    """A day or an ISO time, UTC without an offset, chooses ranges by when they were stored."""
    assert answer("replay", "clean", "--since", "2015-05-17")["ranges"] == 2
    assert answer("replay", "clean", "--since", "2999-01-01T00:00:00+02:00")["ranges"] == 0


def test_the_background_gets_an_order(answer: Answer) -> None:
    """With --background nothing is replaced here: a task for these sources waits in the maintenance queue."""
    sent = answer("replay", "clean", "--background", "--source", "/whole", "--format", "combined")

    assert sent["task"] == "replay.clean"
    assert queue_depths(Settings.from_environment())[MAINTENANCE].messages == 1
    assert answer("replay", "clean")["skipped"] == 2


def test_an_order_that_no_pool_would_do_is_refused(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a replay in the background is switched off, the setting to change is named."""
    monkeypatch.setenv("SLUICE_REPLAY_SHARE", "0")

    assert "SLUICE_REPLAY_SHARE" in answer("replay", "clean", "--background", code=USAGE)["error"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--background", "--dry-run"], "--background"),
        (["--since", "yesterday"], "yesterday"),
        (["--format", "combined"], "--source"),
        (["--source", "1", "--format", "xml"], "xml"),
        (["--source", "/nowhere"], "/nowhere"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], named: str, answer: Answer) -> None:
    """What cannot be meant ends with code 2 and names the option to change."""
    assert named in answer("replay", "clean", *arguments, code=USAGE)["error"]
