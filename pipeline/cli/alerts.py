"""`alerts`: who is told of findings and drifts, and of what nobody is told for a while."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from db.alerting import outbox
from db.silences import lift, silence, silences
from pipeline.alerts.channels import AlertUndelivered, Channel
from pipeline.cli import options, output
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import open_database
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

#: Longest silence: what is silenced for ever is better turned off in the rules.
LONGEST = timedelta(days=30)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
#: Number of an alert that stands in no outbox.
TEST_ID = 0


@click.group("alerts")
def command() -> None:
    """Show the outbox, silence a rule or subject, or send a test."""


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest ones.")
@options.common
def list_(limit: int, as_json: bool) -> int:
    """Show the newest alerts, sent or waiting, and the silences in force."""
    with open_database(options.settings()) as engine:
        alerts, silent = outbox(engine, limit), silences(engine, datetime.now(UTC))
    if as_json:
        values = {"alerts": [asdict(each) for each in alerts], "silences": [asdict(each) for each in silent]}
        output.emit_json(values)
        return OK
    heads = ("id", "channel", "made", "attempts", "sent", "problem")
    rows = [(a.id, a.channel, _short(a.made_at), a.attempts, _short(a.sent_at), a.problem) for a in alerts]
    print(output.table(heads, rows))
    print()
    print(
        output.table(
            ("silence", "rule or subject", "until", "reason"),
            [(each.id, each.target, _short(each.until), each.reason) for each in silent],
        )
    )
    return OK


@command.command("silence")
@click.argument("target", metavar="RULE|SUBJECT")
@click.option("--for", "length", metavar="TIME", required=True, help="For how long: 30m, 2h, 7d.")
@click.option("--reason", default="", help="Why, for whoever reads the list.")
@options.common
def silence_(target: str, length: str, reason: str, as_json: bool) -> int:
    """Tell nobody of findings of a rule or subject, or of drifts of a kind, for a while.

    They are noted all the same, and what lasts longer than its silence is told then.
    """
    now = datetime.now(UTC)
    until = now + duration(length)
    with open_database(options.settings()) as engine:
        made = silence(engine, target, until, reason, now)
    if as_json:
        output.emit_json(asdict(made))
    else:
        print(output.escape(f"silence {made.id}: {made.target} until {_short(until)}"))
    return OK


@command.command("lift")
@click.argument("silence_id", type=int, metavar="SILENCE")
@options.common
def lift_(silence_id: int, as_json: bool) -> int:
    """End a silence, by its number in the list."""
    with open_database(options.settings()) as engine:
        if not lift(engine, silence_id, datetime.now(UTC)):
            raise ConfigurationError(f"no silence {silence_id}: see `python -m pipeline alerts list`")
    if as_json:
        output.emit_json({"lifted": silence_id})
    else:
        print(f"silence {silence_id} is lifted")
    return OK


@command.command("test")
@options.common
def test(as_json: bool) -> int:
    """Send a test to each channel that is set, now; exit code 1 if one does not take it."""
    settings = options.settings()
    channels = settings.alert_channels
    if not channels:
        raise ConfigurationError("nobody is told: set SLUICE_ALERT_WEBHOOK or SLUICE_ALERT_MAIL")
    problems = {name: _tried(settings, channel) for name, channel in channels.items()}
    if as_json:
        output.emit_json({"channels": problems})
    for name, problem in problems.items():
        if problem is not None:
            output.complain(problem)
        elif not as_json:
            print(f"{name}: it has taken the test")
    return FAILED if any(problems.values()) else OK


def _tried(settings: Settings, channel: Channel) -> str | None:
    now = datetime.now(UTC).isoformat()
    fact = {
        "id": "test", "kind": "test", "rule": "test", "severity": "low", "subject": "alerts", "since": now,
        "summary": "a test: somebody ran `python -m pipeline alerts test`", "count": 1, "source_id": None,
        "path": None,
    }  # fmt: skip
    try:
        channel.deliver({"host": settings.host, "made": now, "alerts": [fact], "more": 0}, TEST_ID)
    except AlertUndelivered as error:
        return str(error)
    return None


def duration(text: str) -> timedelta:
    """Return a time such as 30m, 2h or 7d.

    Raises:
        ConfigurationError: it is none, or too long.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    length = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
    if length is None or length > LONGEST:
        raise ConfigurationError(f"--for {text}: use 30m, 2h or 7d, up to {LONGEST.days}d")
    return length


def _short(moment: datetime | None) -> str | None:
    return moment.isoformat(" ", "seconds") if moment else None
