"""Alerts from the database to a webhook and a mailbox, by the task and by the command."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.engine import transaction
from db.findings import findings
from db.noting import note
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.detect.sighting import Sighting
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks import alerts, audit, stores
from tasks.repair import RepairReport, Unavailable
from tests.alert_servers import MailServer, WebhookServer, mail_server, webhook_server
from tests.databases import migrate
from tests.unit.conftest import Answer


@pytest.fixture
def hook() -> Iterator[WebhookServer]:
    """Return a webhook that takes what comes."""
    with webhook_server() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Return a mail server that takes what comes."""
    with mail_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: WebhookServer, mail: MailServer
) -> Iterator[None]:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("SLUICE_ALERT_WEBHOOK", f"http://{hook.place}/")
    monkeypatch.setenv(
        "SLUICE_ALERT_MAIL", f"smtp://127.0.0.1:{mail.port}?from=sluice@example.org&to=ops@example.org"
    )
    for made in (stores.settings, stores.engine):
        made.cache_clear()
    migrate(Settings.from_environment().sqlalchemy_url)
    yield
    stores.engine().dispose()


def notice(subject: str = "192.0.2.1") -> None:
    """Note a finding."""
    now = datetime.now(UTC)
    seen = Sighting("security", "xss", "high", subject, now, now, 1, "a script")
    with transaction(stores.engine()) as connection:
        note(connection, None, [seen], now)


def test_what_was_noticed_arrives(hook: WebhookServer, mail: MailServer) -> None:
    """Once on each channel."""
    notice()

    assert alerts.send() == "sent: 2 of 2"
    assert alerts.send() == "sent: 0 of 0"
    assert json.loads(hook.posts[0][2])["alerts"][0]["subject"] == "192.0.2.1"
    assert len(hook.posts) == len(mail.mails) == 1


def test_a_channel_that_fails_is_a_problem_of_status(
    hook: WebhookServer, mail: MailServer, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one is sent; the log and `status` say what waits and why; the outbox keeps it."""
    hook.statuses = [503]
    notice()

    with caplog.at_level(logging.WARNING):
        assert alerts.send() == "sent: 1 of 2"

    assert "webhook: it answered 503" in caplog.text
    assert "alerts wait: webhook: it answered 503" in answer("status", code=FAILED)["problems"]
    listed = {each["channel"]: each for each in answer("alerts", "list")["alerts"]}
    assert listed["webhook"]["problem"] == "webhook: it answered 503"
    assert listed["mail"]["sent_at"] is not None


def test_bytes_that_are_lost_are_told(hook: WebhookServer) -> None:
    """What the audit cannot repair is a finding, once while it lasts, and so an alert."""
    report = RepairReport()
    report.unavailable.append(Unavailable("/a.log", Stage.LAKE, 5, 9, "the file is gone"))

    audit._note(report)
    audit._note(report)
    alerts.send()

    (found,) = findings(stores.engine())
    assert (found.kind, found.rule, found.severity, found.count) == ("loss", "audit", "critical", 2)
    assert "bytes [5, 9) are missing and cannot be had: the file is gone" in hook.posts[0][2].decode()


def test_silences_are_made_listed_and_lifted(answer: Answer, hook: WebhookServer) -> None:
    """By the command; what is silenced is not told until it is lifted."""
    made = answer("alerts", "silence", "xss", "--for", "2h", "--reason", "known")
    notice()

    assert alerts.send() == "sent: 0 of 0"
    assert [each["target"] for each in answer("alerts", "list")["silences"]] == ["xss"]
    assert answer("alerts", "lift", str(made["id"])) == {"lifted": made["id"]}
    assert alerts.send() == "sent: 2 of 2"
    assert "no silence 9" in answer("alerts", "lift", "9", code=USAGE)["error"]


@pytest.mark.parametrize("length", ["2", "h", "0m", "31d", "-1h", "2 h"])
def test_a_length_that_does_not_fit(answer: Answer, length: str) -> None:
    """It is a usage error that says what fits."""
    error = answer("alerts", "silence", "xss", f"--for={length}", code=USAGE)["error"]

    assert "use 30m, 2h or 7d, up to 30d" in error


def test_a_test_goes_to_every_channel(hook: WebhookServer, mail: MailServer, answer: Answer) -> None:
    """At once; the exit code says whether each has taken it, and the outbox stays as it is."""
    assert answer("alerts", "test") == {"channels": {"webhook": None, "mail": None}}
    hook.statuses = [404]

    assert answer("alerts", "test", code=FAILED)["channels"]["webhook"] == "webhook: it answered 404"
    assert len(mail.mails) == 2
    assert answer("alerts", "list")["alerts"] == []


def test_a_person_reads_the_list(hook: WebhookServer, capsys: pytest.CaptureFixture[str]) -> None:
    """As tables, in which foreign text is inert."""
    notice()
    alerts.send()
    main(["alerts", "silence", "x\x1b", "--for", "30m"])

    assert main(["alerts", "list"]) == OK
    shown = capsys.readouterr().out
    assert "webhook" in shown
    assert "x\\x1b" in shown
    assert "\x1b" not in shown


def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    """Without a channel a test is refused with the variables to set."""
    for name in ("SLUICE_ALERT_WEBHOOK", "SLUICE_ALERT_MAIL"):
        monkeypatch.delenv(name)

    assert "set SLUICE_ALERT_WEBHOOK" in answer("alerts", "test", code=USAGE)["error"]
