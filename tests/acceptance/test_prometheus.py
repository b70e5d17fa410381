"""The deployment's rules in a real Prometheus that asks real processes."""

import contextlib
import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.children import PORTS
from tasks.routing import MAINTAINER
from tests.acceptance.installation import Installation
from tests.services import free_port, stop_child, wait_until

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy/prometheus"
LINE = b'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"\n'


class Prometheus:
    """A server with the deployment's rules and jobs, whose targets are the children of one `run`."""

    def __init__(self, folder: Path, first_port: int) -> None:
        self._port = free_port()
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOY / "alerts.yml")]
        jobs = {scrape["job_name"].removeprefix("sluice-"): scrape for scrape in config["scrape_configs"]}
        # Under `run` the lake pool does what the worker of the maintenance queue does elsewhere.
        assert set(jobs) == {*PORTS, MAINTAINER}
        config["scrape_configs"] = [jobs[name] for name in PORTS]
        for offset, scrape in enumerate(config["scrape_configs"]):
            del scrape["dns_sd_configs"]
            scrape["static_configs"] = [{"targets": [f"127.0.0.1:{first_port + offset}"]}]
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))

    def start(self, program: str) -> subprocess.Popen[bytes]:
        """Start the server."""
        folder = self._config.parent / "prometheus"
        options = {"config.file": self._config, "storage.tsdb.path": folder}
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        command = [program, *(f"--{name}={value}" for name, value in options.items()), listen]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API, None while it does not answer."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
        return None

    def values(self, query: str) -> dict[str, float]:
        """Return the values of a query by the job, or by the alert, that they belong to."""
        found = (self.ask("query", query=query) or {"result": []})["result"]
        names = [each["metric"].get("alertname", each["metric"].get("job", "")) for each in found]
        return dict(zip(names, (float(each["value"][1]) for each in found), strict=True))

    def rules(self) -> dict[str, str]:
        """Return the health of each rule by its name."""
        groups = (self.ask("rules") or {"groups": []})["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


@pytest.fixture
def program(required: Callable[[str], None]) -> str:
    """Return the path of Prometheus."""
    found = shutil.which("prometheus")
    if found is None:
        required("prometheus")
    return str(found)


@pytest.fixture
def monitored(tmp_path: Path, program: str) -> Iterator[tuple[Prometheus, subprocess.Popen[str]]]:
    """Return a Prometheus, and the `run` that it asks."""
    log, first = tmp_path / "access.log", free_port()
    log.write_bytes(LINE * 20)
    prometheus = Prometheus(tmp_path, first)
    with ExitStack() as stack:
        command = Installation(tmp_path, {"SLUICE_METRICS_ADDRESS": str(first)}).start("run", log)
        stack.callback(command.communicate, timeout=60)
        stack.callback(command.terminate)
        stack.callback(stop_child, prometheus.start(program), signal.SIGTERM)
        yield prometheus, command


def test_rules_see_a_run_that_is_well_and_one_that_ends(
    monitored: tuple[Prometheus, subprocess.Popen[str]],
) -> None:
    """Every job is up, counts the same lines and raises no alert; once the run has ended, its alert waits."""
    prometheus, command = monitored
    jobs = {f"sluice-{name}" for name in PORTS}
    both = {"sluice-lake": 20.0, "sluice-clean": 20.0}
    stored = "sum by (job) (sluice_stored_lines_total)"
    wait_until(lambda: prometheus.values("up == 1").keys() == jobs, "every job up", 90)
    wait_until(lambda: prometheus.values("sluice_measured_timestamp_seconds"), "a measurement")
    wait_until(lambda: prometheus.values(stored) == both, "the lines in both stages")
    expected = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    well = {rule["alert"]: "ok" for rule in expected}

    wait_until(lambda: prometheus.rules() == well, "every rule evaluated")
    wait_until(lambda: "SluiceProcessAway" not in prometheus.values("ALERTS"), "no alert of a process")
    assert prometheus.values("sluice_published_lines_total") == {"sluice-watcher": 20}

    command.terminate()
    wait_until(lambda: prometheus.values("up == 0").keys() == jobs, "every job down")
    pending = 'ALERTS{alertstate="pending", alertname="SluiceProcessAway"}'
    wait_until(lambda: prometheus.values(pending), "the alert")
