"""`metrics`: what only database and broker know, for Prometheus; one such process is enough."""

import click
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine

from db import schema
from db.engine import make_engine
from pipeline.cli import options, output
from pipeline.cli.interruption import Interruption
from pipeline.cli.main import FAILED, OK
from pipeline.cli.survey import SurveyCollector
from pipeline.errors import ConfigurationError
from pipeline.exposure import Pulse, expose
from pipeline.settings import Settings


@click.command("metrics")
@click.option("--once", is_flag=True, help="Measure once, print the metrics, and end.")
@options.common
def command(once: bool, as_json: bool) -> int:
    """Serve queue depths, dead letters, missing bytes and their age, conflicts and topology problems.

    At SLUICE_METRICS_ADDRESS, until SIGTERM or Ctrl-C. With --once print them to stdout, as the text
    collector of node_exporter reads them; what does not answer is named, and the exit code is 1.
    """
    settings = options.settings()
    collector = SurveyCollector(settings, lambda: _engine(settings))
    if once:
        return _print(collector, as_json=as_json)
    if settings.metrics_endpoint is None:
        raise ConfigurationError("SLUICE_METRICS_ADDRESS: set the [host:]port to serve, or add --once")
    output.log_to_stderr(settings.log_level, settings)
    pulse = Pulse("exporter", stuck_seconds=300.0)
    expose(settings.metrics_endpoint, CollectorRegistry(), pulse, collector)
    collector.follow(pulse, Interruption("stopping").asked)
    return OK


def _engine(settings: Settings) -> Engine:
    schema.check(settings.sqlalchemy_url)
    return make_engine(settings.sqlalchemy_url, application_name="sluice metrics")


def _print(collector: SurveyCollector, *, as_json: bool) -> int:
    problems = collector.measure()
    if as_json:
        samples = [sample for family in collector.collect() for sample in family.samples]
        metrics = [{"name": s.name, "labels": s.labels, "value": s.value} for s in samples]
        output.emit_json({"metrics": metrics, "problems": problems})
    else:
        registry = CollectorRegistry()
        registry.register(collector)
        print(generate_latest(registry).decode(), end="")
    for problem in problems:
        output.complain(problem)
    return FAILED if problems else OK
