"""docs/operations.md names what there is: metrics, alerts, units."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from pipeline import measured
from pipeline.cli.survey import FAMILIES
from tasks import metrics

ROOT = Path(__file__).parents[2]
#: Most lines of the document.
OPERATIONS_LINES = 250


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text()


def exposed() -> set[str]:
    """Return the names of what watcher, pools and exporter expose, as Prometheus shows them."""
    checkpoint = measured.CheckpointCollector(Path("/nonexistent"))
    registries: list[CollectorRegistry] = [measured.REGISTRY, metrics.REGISTRY]
    families = [family for registry in registries for family in registry.collect()]
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
