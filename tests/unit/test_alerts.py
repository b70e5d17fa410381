"""Alerts on their way to real servers: taken, refused, slow; always inert, never with a secret."""

import email
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts.channels import AlertUndelivered, Channel, MailChannel, WebhookChannel
from pipeline.alerts.destination import Mailbox, mailbox, webhook
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from tests.alert_servers import MailServer, WebhookServer, mail_server, webhook_server
from tests.certificates import Authority

KEY = "k" * 32
PASSWORD = "s3cret-canary"
FACT = {
    "id": "finding 7",
    "kind": "security",
    "rule": "xss",
    "severity": "medium",
    "subject": "203.0.113.9\x1b[2J\r\nBcc: all@example.org",
    "since": "2026-03-01T12:00:00+00:00",
    "summary": "a script in a request: é \u202e <script>" + "x" * 5000,
    "count": 3,
    "source_id": 1,
    "path": "/var/log/a.log",
}
CONTENT = {"host": "web-1", "made": "2026-03-01T12:00:01+00:00", "alerts": [FACT, FACT], "more": 5}


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


def to_hook(server: WebhookServer, key: str = KEY, scheme: str = "http", **options: float) -> WebhookChannel:
    """Return the channel to a webhook."""
    url = f"{scheme}://{server.place}/hook?token={PASSWORD}"
    return WebhookChannel(webhook(url, key, allow_plaintext=False), **options)


def to_mail(server: MailServer, user: str = "", **options: float) -> MailChannel:
    """Return the channel to a mail server."""
    url = f"smtp://{user}127.0.0.1:{server.port}?from=sluice@example.org&to=ops@example.org,eva@example.org"
    return MailChannel(mailbox(url), allow_plaintext=False, **options)


def undelivered(channel: Channel) -> str:
    """Return why a channel fails, in which no secret may stand."""
    with pytest.raises(AlertUndelivered) as failed:
        channel.deliver(CONTENT, 3)
    assert PASSWORD not in str(failed.value)
    assert failed.value.__cause__ is None
    return str(failed.value)


def test_a_webhook_gets_signed_json(hook: WebhookServer) -> None:
    """One object with every fact, a text for chats, and a signature over the moment and the body."""
    to_hook(hook).deliver(CONTENT, 3)

    ((target, headers, body),) = hook.posts
    value = json.loads(body)
    assert target == f"/hook?token={PASSWORD}"
    assert (value["version"], value["id"], value["more"], len(value["alerts"])) == (2, 3, 5, 2)
    assert value["text"].startswith("sluice on web-1: medium: xss, 203.0.113.9")
    assert headers["X-Sluice-Delivery"] == "3"
    signed = headers["X-Sluice-Timestamp"].encode() + b"." + body
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Sluice-Signature"] == f"sha256={expected}"


def test_without_a_key_nothing_is_signed(hook: WebhookServer) -> None:
    """No header speaks of a signature."""
    to_hook(hook, key="").deliver(CONTENT, 3)

    assert "X-Sluice-Signature" not in hook.posts[0][1]


def test_what_is_told_is_inert(hook: WebhookServer, mail: MailServer) -> None:
    """No control character or change of direction leaves, no header is added, and texts are cut."""
    to_hook(hook).deliver(CONTENT, 3)
    to_mail(mail).deliver(CONTENT, 3)

    value = json.loads(hook.posts[0][2])
    parsed: Any = email.message_from_string(mail.mails[0], policy=policy.default)
    mailed = parsed.get_content().replace("\r\n", "\n")
    for text in (value["text"], value["alerts"][0]["subject"], parsed["Subject"], mailed):
        assert not {"\x1b", "\r", "\u202e"} & set(text)
        assert "203.0.113.9\\x1b[2J\\r\\nBcc" in text
    assert parsed["Bcc"] is None
    assert len(value["alerts"][0]["summary"]) < 600


def test_an_end_is_told_as_one(mail: MailServer) -> None:
    """In the subject and with its time; an alert that waits since an older version has no event."""
    fact = FACT | {"event": "over", "until": "2026-03-01T13:00:00+00:00"}
    to_mail(mail).deliver(CONTENT | {"alerts": [fact]}, 3)

    parsed: Any = email.message_from_string(mail.mails[0], policy=policy.default)
    assert str(parsed["Subject"]).startswith("sluice on web-1: over: medium: xss, 203.0.113.9")
    assert "  over     2026-03-01T13:00:00+00:00" in parsed.get_content()


def test_secrets_in_a_url_do_not_leave(hook: WebhookServer) -> None:
    """What is a secret by its name is taken out of the summary."""
    fact = FACT | {"summary": f"a script: 1 by 192.0.2.1; first /a?q=<script>&token={PASSWORD}"}
    to_hook(hook).deliver(CONTENT | {"alerts": [fact]}, 3)

    body = hook.posts[0][2].decode()
    assert PASSWORD not in body
    assert "&token=***" in body


def test_a_mail_says_the_same(mail: MailServer) -> None:
    """To each recipient, with a subject of a line and the number in its id, the same at each attempt."""
    to_mail(mail).deliver(CONTENT, 3)
    to_mail(mail).deliver(CONTENT, 3)

    first, second = (email.message_from_string(each, policy=policy.default) for each in mail.mails)
    assert first["To"] == "ops@example.org, eva@example.org"
    assert "<eva@example.org>" in " ".join(each for each in mail.commands if each.startswith("rcpt"))
    assert str(first["Subject"]).startswith("sluice on web-1: medium: xss, ")
    assert first["Message-ID"] == second["Message-ID"]
    assert "and 5 more" in first.get_content()  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_a_webhook_that_does_not_take_it(hook: WebhookServer, status: int) -> None:
    """Any other status is a failure with its number, and no redirection is followed."""
    hook.statuses = [status]

    assert undelivered(to_hook(hook)) == f"webhook: it answered {status}"
    assert len(hook.posts) == 1


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        ("MAIL", "451 try later", "the server answered 451 try later"),
        ("RCPT", "550 no such user", "the server refused every recipient"),
        (".", "554 \x1b[2J spam", "the server answered 554 \\x1b[2J spam"),
    ],
)
def test_a_mail_that_is_refused(mail: MailServer, command: str, answer: str, said: str) -> None:
    """At any step, with the server's words, which are inert too."""
    mail.answers = {command: answer}

    assert undelivered(to_mail(mail)) == f"mail: {said}"


def test_nobody_listens() -> None:
    """A server that is away is a failure in words."""
    with webhook_server() as gone_hook, mail_server() as gone_mail:
        channels: list[Channel] = [to_hook(gone_hook), to_mail(gone_mail)]
    for channel in channels:
        assert "refused" in undelivered(channel)


def test_slow_servers_are_given_up(hook: WebhookServer, mail: MailServer) -> None:
    """A server that sends a byte now and then outlasts each single wait, but not the whole."""
    hook.is_slow = mail.is_slow = True
    for channel in (to_hook(hook, seconds=0.3), to_mail(mail, seconds=0.3)):
        began = time.monotonic()
        undelivered(channel)
        assert time.monotonic() - began < 60  # of the many minutes that they would take


def test_a_password_goes_to_this_machine_or_through_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere STARTTLS is required, with a certificate for the server's name; only then it logs in."""
    authority = Authority(tmp_path, "tests")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))

    def elsewhere(server: MailServer, *, is_tls: bool = False) -> MailChannel:
        # A name that is not called loopback, though it is this machine's.
        box = Mailbox(
            "127.0.0.1.nip.invalid", server.port, is_tls, "ann", PASSWORD, "a@example.org", ("b@example.org",)
        )
        return MailChannel(box, allow_plaintext=True)

    monkeypatch.setattr("socket.create_connection", _to_loopback)
    with mail_server() as plain:
        assert "STARTTLS" in undelivered(elsewhere(plain))
        assert not any(command.startswith("AUTH") for command in plain.commands)
    with mail_server(authority.issue("server", "127.0.0.1.nip.invalid")) as secured:
        elsewhere(secured).deliver(CONTENT, 1)
        assert [command.split(" ")[0] for command in secured.commands][:4] == [
            "ehlo",
            "STARTTLS",
            "ehlo",
            "AUTH",
        ]
    with mail_server(authority.issue("other", "example.org")) as wrong:
        assert "certificate" in undelivered(elsewhere(wrong))


def _to_loopback(place: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
    import socket  # noqa: PLC0415

    connection = socket.socket()
    connection.settimeout(60)
    connection.connect(("127.0.0.1", place[1]))
    return connection


def test_a_local_server_takes_a_password(mail: MailServer) -> None:
    """What stays on this machine needs no TLS; a refused password is told without it."""
    to_mail(mail, f"ann:{PASSWORD}@").deliver(CONTENT, 1)
    mail.answers = {"AUTH": f"535 {PASSWORD} is wrong"}

    assert (
        undelivered(to_mail(mail, f"ann:{PASSWORD}@")) == "mail: the server refused user and password (535)"
    )


def test_a_webhook_by_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate must hold for the host."""
    authority = Authority(tmp_path, "tests")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    with webhook_server(authority.issue("server", "127.0.0.1")) as server:
        to_hook(server, scheme="https").deliver(CONTENT, 1)
        assert len(server.posts) == 1
    with webhook_server(authority.issue("other", "example.org")) as server:
        assert "certificate does not hold" in undelivered(to_hook(server, scheme="https"))
        assert server.posts == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "SLUICE_ALERT_WEBHOOK",
            f"http://example.org/{PASSWORD}",
            "http:// leaves this machine in plain text",
        ),
        ("SLUICE_ALERT_WEBHOOK", f"ftp://example.org/{PASSWORD}", "use a URL such as https://host/path"),
        ("SLUICE_ALERT_WEBHOOK", f"https://a:{PASSWORD}@example.org/", "a password in the URL is not sent"),
        ("SLUICE_ALERT_WEBHOOK", f"https://example.org:x/{PASSWORD}", "its port is not one"),
        ("SLUICE_ALERT_WEBHOOK", f"https://example.org/é{PASSWORD}", "must be percent-encoded"),
        ("SLUICE_ALERT_KEY", PASSWORD, "a key has at least 32 bytes"),
        ("SLUICE_ALERT_MAIL", f"https://{PASSWORD}", "use smtp[s]://"),
        ("SLUICE_ALERT_MAIL", f"smtp://a:{PASSWORD}@h?from=a@b.example", "give ?from=ADDRESS&to="),
        ("SLUICE_ALERT_MAIL", f"smtp://a:{PASSWORD}@h?from=a&to=b@c.example", "give one address in `from`"),
        ("SLUICE_ALERT_MAIL", f"smtp://a:{PASSWORD}@h?from=a@b.c&to=x@y.z%0aBcc:q@r.s", "give one address"),
        ("SLUICE_ALERT_MAIL", f"smtp://{PASSWORD}@h?from=a@b.c&to=x@y.z", "give user and password"),
    ],
)
def test_what_is_wrong_is_named_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """The variable and what fits; never its value."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()

    assert str(refused.value).startswith(f"{variable}: ")
    assert said in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other secret; what is shown of the settings holds none of them."""
    for name, value in (
        ("SLUICE_ALERT_WEBHOOK", f"https://example.org/{PASSWORD}"),
        ("SLUICE_ALERT_MAIL", f"smtps://a:{PASSWORD}@h?from=a@b.c&to=x@y.z"),
    ):
        path = tmp_path / name
        path.write_text(value)
        path.chmod(0o600)
        monkeypatch.setenv(f"{name}_FILE", str(path))

    settings = Settings.from_environment()

    assert list(settings.alert_channels) == ["webhook", "mail"]
    assert PASSWORD not in repr(settings)
