"""Metrics and health of the real processes."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.cli.children import PORTS
from tests.acceptance.installation import Installation
from tests.services import free_port, wait_until

pytestmark = pytest.mark.slow

LINE = b'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"\n'
#: What a container's check has in docker-compose.yml; it takes two on a machine that is not shared.
CHECK_SECONDS = 10


def samples(port: int) -> dict[str, float]:
    """Return what a process exposes, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def live(place: Installation, port: int, role: str) -> subprocess.CompletedProcess[str]:
    """Ask whether a process lives."""
    environment = place.environment | {"SLUICE_METRICS_ADDRESS": str(port)}
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "check", "--live", role],
        env=environment, capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip


def is_told(place: Installation, port: int, role: str) -> bool:
    """Tell whether a check finds a process alive in time; asked again, a slow moment has passed."""
    began = time.monotonic()
    answer = live(place, port, role)
    took = time.monotonic() - began
    return (answer.returncode, answer.stdout) == (0, f"{role}: alive\n") and took < CHECK_SECONDS


def shown(port: int, name: str) -> float:
    """Return a sample of a process, 0 before it listens or knows it."""
    try:
        return samples(port).get(name, 0.0)
    except OSError:
        return 0.0


@pytest.fixture
def running() -> Iterator[Callable[[subprocess.Popen[str]], subprocess.Popen[str]]]:
    """Return a function that makes sure that a command ends with the test."""
    with ExitStack() as stack:

        def keep(command: subprocess.Popen[str]) -> subprocess.Popen[str]:
            stack.callback(command.communicate, timeout=60)
            stack.callback(command.terminate)
            return command

        yield keep


def test_every_process_of_run_tells_of_itself(
    tmp_path: Path, running: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    """Each child has a port, its counts of one file agree, `check --live` finds each, and then none."""
    log = tmp_path / "access.log"
    log.write_bytes(LINE * 30 + b"not a line of the format\n")
    first = free_port()
    ports = dict(zip(PORTS, range(first, first + len(PORTS)), strict=True))
    place = Installation(tmp_path, {"SLUICE_METRICS_ADDRESS": str(first), "SLUICE_LOG_FORMAT": "combined"})
    command = running(place.start("run", log))
    wait_until(lambda: shown(ports["lake"], "sluice_stored_lines_total lake") == 31, "the lake's count")
    wait_until(lambda: shown(ports["clean"], "sluice_stored_lines_total clean") == 31, "the clean count")
    wait_until(lambda: shown(ports["exporter"], "sluice_ledger_bytes clean") > 0, "the exporter")

    watched = samples(ports["watcher"])
    assert watched["sluice_published_lines_total"] == 31
    assert watched["sluice_lag_bytes"] == 0
    assert samples(ports["clean"])["sluice_rejected_lines_total clean"] == 1
    assert samples(ports["lake"])["sluice_deliveries_total stored lake"] >= 1
    assert shown(ports["exporter"], "sluice_missing_bytes lake") == 0
    for role, port in ports.items():
        wait_until(lambda port=port: shown(port, "process_start_time_seconds") > 0, role)
        wait_until(lambda port=port, role=role: is_told(place, port, role), f"a check that {role} lives")
    assert live(place, ports["lake"], "clean").returncode == 1

    command.terminate()
    command.wait(timeout=60)
    for role, port in ports.items():
        answer = live(place, port, role)
        assert answer.returncode == 1
        assert "does not answer" in answer.stderr


def test_a_stopped_process_does_not_count_as_alive(
    tmp_path: Path, running: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    """A watcher that hangs as a whole is told within the seconds that a container's check has."""
    port = free_port()
    (tmp_path / "access.log").touch()
    place = Installation(tmp_path, {"SLUICE_METRICS_ADDRESS": str(port)})
    watcher = running(place.start("watch", tmp_path / "access.log"))
    wait_until(lambda: live(place, port, "watcher").returncode == 0, "a watcher that is alive")
    watcher.send_signal(signal.SIGSTOP)
    try:
        answer = live(place, port, "watcher")
    finally:
        watcher.send_signal(signal.SIGCONT)

    assert answer.returncode == 1
    assert "timed out" in answer.stderr
    wait_until(lambda: live(place, port, "watcher").returncode == 0, "a watcher that goes on")


def test_a_check_without_an_address_says_what_to_set(tmp_path: Path) -> None:
    """`check --live` needs the address at which the process listens."""
    command = Installation(tmp_path).start("check", "--live", "lake")
    _, err = command.communicate(timeout=60)

    assert command.returncode == 2
    assert "SLUICE_METRICS_ADDRESS" in err


@pytest.mark.parametrize("value", ["x", "0", "70000", "host:", "1.2.3.4:99999"])
def test_an_impossible_address_is_refused(tmp_path: Path, value: str) -> None:
    """What is no port is named before anything starts."""
    command = Installation(tmp_path, {"SLUICE_METRICS_ADDRESS": value}).start("status")
    _, err = command.communicate(timeout=60)

    assert command.returncode == 2
    assert "SLUICE_METRICS_ADDRESS: give a port" in err
