"""docs/operations.md names what there is: metrics, alerts, units."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from db.engine import make_engine
from pipeline import measured
from pipeline.cli.survey import FAMILIES, SurveyCollector
from pipeline.settings import Settings
from tasks import metrics

ROOT = Path(__file__).parents[2]
#: Most lines of the document.
OPERATIONS_LINES = 250


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text()


@pytest.fixture
def tool(required: Callable[[str], None]) -> Callable[[str], str]:
    """Return a function that finds a program, or skips with its name."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            required(name)
        return str(found)

    return find


def exposed() -> set[str]:
    """Return the names of what watcher, pools and exporter expose, as Prometheus shows them."""
    checkpoint = measured.CheckpointCollector(Path("/nonexistent"))
    families = [family for each in (measured, metrics) for family in each.REGISTRY.collect()]
    counted = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    return counted | {family.name for family in checkpoint.describe()} | {name for name, *_ in FAMILIES}


def documented() -> set[str]:
    """Return the metrics in the first column of the table."""
    rows = re.findall(r"^\| (`sluice_[^|]*)\|", text("docs/operations.md"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(sluice_\w+)`", row)}


def test_every_metric_is_documented() -> None:
    """The table holds each metric that a process exposes, and none that is gone."""
    assert {name for name in exposed() if name.startswith("sluice_")} == documented()


def test_it_is_short() -> None:
    """The document is read in a night with an alert."""
    assert len(text("docs/operations.md").splitlines()) <= OPERATIONS_LINES


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    groups = yaml.safe_load(text("deploy/prometheus/alerts.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_has_a_runbook() -> None:
    """Each alert has a section of its name in the document and points to it; no section is left over."""
    sections = re.findall(r"^#### (Sluice\w+)$", text("docs/operations.md"), re.MULTILINE)

    assert [alert["alert"] for alert in alerts()] == sections
    for alert in alerts():
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("critical", "warning")


def test_alerts_ask_for_metrics_that_exist() -> None:
    """Each metric in a rule is exposed, a histogram by one of its parts."""
    asked = {name for alert in alerts() for name in re.findall(r"\bsluice_\w+", alert["expr"])}

    assert asked
    assert {re.sub(r"_bucket$", "", name) for name in asked} <= documented()


def test_every_alert_is_tested() -> None:
    """For each alert there is a case in which it is silent, and one in which it is told."""
    cases = [
        case
        for test in yaml.safe_load(text("deploy/prometheus/alerts.test.yml"))["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    for told in (True, False):
        names = {case["alertname"] for case in cases if bool(case["exp_alerts"]) is told}
        assert names == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(tool: Callable[[str], str], arguments: tuple[str, ...]) -> None:
    """Prometheus's own tool takes rules and configuration, and the tests of the rules pass."""
    done = subprocess.run(
        [tool("promtool"), *arguments],
        cwd=ROOT / "deploy/prometheus",
        capture_output=True,
        text=True,
        check=False,
    )

    assert not done.returncode, done.stdout + done.stderr


def test_promtool_accepts_the_metrics(tool: Callable[[str], str]) -> None:
    """Names, types and help of every metric are as Prometheus wants them."""
    shown = CollectorRegistry()
    shown.register(SurveyCollector(Settings.from_environment(), lambda: make_engine("sqlite://")))
    words = b"".join(generate_latest(each) for each in (measured.REGISTRY, metrics.REGISTRY, shown))
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=words, capture_output=True, check=False
    )

    assert words.count(b"# TYPE sluice_") >= len(documented()) - len(FAMILIES)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_promtool_sees_a_wrong_rule(tool: Callable[[str], str], tmp_path: Path) -> None:
    """A rule that is told too late fails its test."""
    for name in ("alerts.yml", "alerts.test.yml"):
        (tmp_path / name).write_text(text(f"deploy/prometheus/{name}").replace("for: 2m", "for: 20m"))
    command = [tool("promtool"), "test", "rules", "alerts.test.yml"]

    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode


def units() -> list[Path]:
    """Return the systemd units."""
    return sorted((ROOT / "deploy/systemd").glob("*.service"))


def test_units_run_the_documented_commands() -> None:
    """Each unit starts what a person would type, and no two of a machine want one port."""
    starts = {
        unit.name: re.findall(r"^ExecStart=\S+/(.*)$", unit.read_text(), re.MULTILINE)[0] for unit in units()
    }
    addresses = [
        address
        for unit in units()
        for address in re.findall(r"SLUICE_METRICS_ADDRESS=(\S+)", unit.read_text())
    ]

    assert starts == {
        "sluice-watcher.service": "python -m pipeline watch",
        "sluice-lake.service": (
            "celery -A tasks worker -Q queue-data-lake -X queue-maintenance -n lake@%%h -c 2"
        ),
        "sluice-maintenance.service": "celery -A tasks worker -Q queue-maintenance -n maintenance@%%h -c 1",
        "sluice-clean@.service": "celery -A tasks worker -Q queue-data-clean -n clean-%i@%%h -c 2",
        "sluice-beat.service": "celery -A tasks beat --pidfile=",
        "sluice-exporter.service": "python -m pipeline metrics",
        "sluice-web.service": "python -m pipeline web",
    }
    assert len(addresses) == len(units()) - 1  # the page has none
    assert len(set(addresses)) == len(addresses)
    for unit in units():
        assert f"`{unit.stem}" in text("docs/operations.md")


def test_systemd_accepts_the_units(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Systemd's own check has nothing to say of the units, once their programs are there."""
    programs = Path(sys.executable).parent
    for unit in units():
        words = unit.read_text().replace("/opt/sluice/.venv/bin", str(programs))
        (tmp_path / unit.name.replace("@.", "@1.")).write_text(words)
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "sluice" in line]

    assert not ours
    assert not done.returncode, done.stderr
