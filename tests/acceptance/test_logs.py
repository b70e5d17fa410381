"""The logs of real processes as JSON lines."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from pipeline.cli.children import BEAT, WATCHER
from tests.acceptance.installation import Installation, proven
from tests.services import wait_until

pytestmark = pytest.mark.slow


def test_one_batch_is_found_in_every_process(tmp_path: Path) -> None:
    """Each line of watcher, pools, beat and run is an object, and the id of a batch leads through them."""
    log = tmp_path / "access.log"
    log.write_bytes(b'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"\n')
    place = Installation(tmp_path, {"SLUICE_LOG_STYLE": "json", "SLUICE_LOG_LEVEL": "DEBUG"})
    command = place.start("run", log)
    wait_until(lambda: "succeeded" in place.log("lake") and "succeeded" in place.log("clean"), "a batch")
    wait_until(lambda: place.log(BEAT), "beat's first words")
    command.terminate()
    _, said = command.communicate(timeout=60)

    batches: defaultdict[str, set[str]] = defaultdict(set)
    for name in (WATCHER, "lake", "clean", BEAT):
        for line in place.log(name).splitlines():
            event = json.loads(line)
            if event["batch_id"]:
                batches[event["batch_id"]].add(f"{name} {event['stage']}")
    assert {f"{WATCHER} None", "lake lake", "clean clean"} in batches.values()
    assert {json.loads(line)["level"] for line in said.splitlines()} <= {"INFO", "WARNING"}
    assert proven(place.answer("run", "--once", log), 1)
