"""Flower: shows both stages of one message, and is closed to others."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline.batch import Batch, Source
from pipeline.publish import Publisher
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.routing import STAGE_TASKS, stage_task_id
from tests.services import free_port, stop_child, wait_until

ROOT = Path(__file__).parents[2]
LINE = b'192.0.2.1 - ann [01/Mar/2023:00:00:09 +0000] "GET /canary HTTP/1.1" 200 12 "-" "curl/8"\n'
CELERY = [sys.executable, "-m", "celery", "-A", "tasks"]


@contextmanager
def running(output: Path, environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Celery command while the block runs."""
    with output.open("wb") as stream:
        child = subprocess.Popen(
            [*CELERY, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=stream,
            stderr=stream,
        )
    try:
        yield child
    finally:
        stop_child(child, signal.SIGTERM)


def get(port: int, path: str) -> Any:
    """Return the JSON that Flower answers, or None while it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return json.load(answer)
    except (ConnectionError, urllib.error.URLError):
        return None


@pytest.mark.slow
def test_both_stages_of_one_message_are_two_tasks_of_one_root(
    broker: str, sqlite_url: str, tmp_path: Path
) -> None:
    """Flower lists lake.ingest and clean.transform under their own ids, without a byte of a line."""
    environment = {
        "BROKER_URL": broker,
        "DATABASE_URL": sqlite_url,
        "SLUICE_STATE_DIR": str(tmp_path / "var"),
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    settings = Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(broker))
    batch = Batch(Source("ef" * 16, "web-1", "/logs/a.log", format="combined"), 0, LINE * 3)
    port = free_port()
    pool = ("worker", "-c", "1", "--without-mingle", "-Q")
    with (
        running(tmp_path / "flower.log", environment, "flower", f"--port={port}"),
        running(tmp_path / "lake.log", environment, *pool, Stage.LAKE.queue_name, "-n", "lake@%h"),
        running(tmp_path / "clean.log", environment, *pool, Stage.CLEAN.queue_name, "-n", "clean@%h"),
    ):
        wait_until(lambda: len(get(port, "/api/workers?refresh=1") or ()) == 2, "both pools in Flower")
        with Publisher(settings) as publisher:
            publisher.publish(batch)
        tasks = wait_until(lambda: _succeeded(port), "both tasks in Flower")

    assert {task["name"]: task["uuid"] for task in tasks.values()} == {
        STAGE_TASKS[stage]: stage_task_id(batch.id, stage) for stage in Stage
    }
    assert {task["root_id"] for task in tasks.values()} == {batch.id}
    assert {task["args"] for task in tasks.values()} == {repr(batch)}
    assert "canary" not in json.dumps(tasks)


def _succeeded(port: int) -> dict[str, Any] | None:
    tasks: dict[str, Any] = get(port, "/api/tasks") or {}
    done = {key: task for key, task in tasks.items() if task["state"] == "SUCCESS"}
    return done if len(done) == 2 else None


@pytest.mark.parametrize("open_to_all", [("--address=0.0.0.0",), ("--address=::",)])
def test_flower_refuses_to_be_open_without_a_password(open_to_all: tuple[str, ...], tmp_path: Path) -> None:
    """It ends at once, and names the variable to set."""
    output = tmp_path / "flower.log"
    environment = {"SLUICE_STATE_DIR": str(tmp_path), "BROKER_URL": "amqp://guest:guest@127.0.0.1:1//"}
    with running(output, environment, "flower", *open_to_all, f"--port={free_port()}") as flower:
        assert flower.wait(90) != 0

    assert "FLOWER_BASIC_AUTH" in output.read_text()
