"""The ways on which alerts travel: a POST to a webhook, a mail. Each says why it failed, without secrets."""

import hashlib
import hmac
import re
import smtplib
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Protocol

from pipeline.alerts import message
from pipeline.alerts.deadline import ANSWER_SECONDS, DELIVERY_SECONDS, deadline
from pipeline.alerts.destination import Mailbox, Webhook
from pipeline.errors import TransientError
from pipeline.logs import escape

#: Statuses with which a webhook says that it has the alert.
TAKEN = range(200, 300)
#: Characters of a server's answer that are told.
SHOWN_CHARACTERS = 200


class AlertUndelivered(TransientError):  # noqa: N818 - the vocabulary of the field
    """The alert did not reach its destination; it is tried again."""


class Channel(Protocol):
    """One way for alerts."""

    def deliver(self, content: Mapping[str, Any], alert_id: int) -> None:
        """Return once the other side has taken the alert; `alert_id` is the same at each attempt.

        Raises:
            AlertUndelivered: it may not have taken it.
        """


class WebhookChannel:
    """Posts JSON; with a key, `X-Sluice-Signature` is HMAC-SHA-256 over the timestamp, a dot and the body."""

    def __init__(self, webhook: Webhook, *, seconds: float = DELIVERY_SECONDS) -> None:
        self._webhook = webhook
        self._seconds = seconds

    def deliver(self, content: Mapping[str, Any], alert_id: int) -> None:
        """Post the alert; any status of 2xx takes it, and no redirection is followed."""
        body = message.body(message.inert(content), alert_id)
        connection = self._connection()
        try:
            with deadline(lambda: connection.sock, self._seconds):
                connection.request("POST", self._webhook.target, body, self._headers(body, alert_id))
                status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            raise AlertUndelivered(f"webhook: {_reason(error)}") from None
        finally:
            connection.close()
        if status not in TAKEN:
            raise AlertUndelivered(f"webhook: it answered {status}")

    def _connection(self) -> HTTPConnection:
        if self._webhook.is_tls:
            context = ssl.create_default_context()
            return HTTPSConnection(
                self._webhook.host, self._webhook.port, timeout=ANSWER_SECONDS, context=context
            )
        return HTTPConnection(self._webhook.host, self._webhook.port, timeout=ANSWER_SECONDS)

    def _headers(self, body: bytes, alert_id: int) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "sluice",
            "X-Sluice-Delivery": str(alert_id),
        }
        if self._webhook.key:
            moment = str(int(time.time()))
            signed = hmac.new(self._webhook.key, moment.encode() + b"." + body, hashlib.sha256)
            headers |= {
                "X-Sluice-Timestamp": moment,
                "X-Sluice-Signature": f"sha256={signed.hexdigest()}",
            }
        return headers


class _Known:
    """Is known to the deadline before it waits for the first words of the server."""

    def __init__(self, known: list[Any], *place: Any, **options: Any) -> None:
        known.append(self)
        super().__init__(*place, **options)


class _Plain(_Known, smtplib.SMTP):
    """Plain until STARTTLS."""


class _Tls(_Known, smtplib.SMTP_SSL):
    """TLS from the first byte."""


class MailChannel:
    """Sends a mail in plain text, by TLS or after STARTTLS unless the server is this machine."""

    def __init__(self, mailbox: Mailbox, *, allow_plaintext: bool, seconds: float = DELIVERY_SECONDS) -> None:
        self._mailbox = mailbox
        self._seconds = seconds
        self._allow_plaintext = allow_plaintext

    def deliver(self, content: Mapping[str, Any], alert_id: int) -> None:
        """Send the mail; every recipient must be taken."""
        known: list[smtplib.SMTP] = []
        try:
            with deadline(lambda: known[0].sock if known else None, self._seconds):
                server = self._connected(known)
                refused = server.send_message(self._mail(message.inert(content), alert_id))
        except (OSError, smtplib.SMTPException) as error:
            raise AlertUndelivered(f"mail: {_reason(error)}") from None
        finally:
            for each in known:
                each.close()
        if refused:
            raise AlertUndelivered(f"mail: the server refused {len(refused)} of the recipients")

    def _connected(self, known: list[smtplib.SMTP]) -> smtplib.SMTP:
        box, context = self._mailbox, ssl.create_default_context()
        if box.is_tls:
            server: smtplib.SMTP = _Tls(known, box.host, box.port, timeout=ANSWER_SECONDS, context=context)
        else:
            server = _Plain(known, box.host, box.port, timeout=ANSWER_SECONDS)
        server.ehlo()
        is_safe = box.is_tls or box.is_local
        if not is_safe and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            is_safe = True
        if not is_safe and (box.user or not self._allow_plaintext):
            raise AlertUndelivered("mail: the server offers no STARTTLS: use smtps://")
        if box.user:
            server.login(box.user, box.password)
        return server

    def _mail(self, content: Mapping[str, Any], alert_id: int) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._mailbox.sender, ", ".join(self._mailbox.recipients)
        mail["Subject"] = message.title(content)[:SHOWN_CHARACTERS]
        mail["Date"] = formatdate(usegmt=True)
        domain = self._mailbox.sender.rpartition("@")[2]
        moment = re.sub(r"[^0-9]", "", content["made"])
        # The same at each attempt: what arrives twice is known by it.
        mail["Message-ID"] = f"<alert-{alert_id}-{moment}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text(content))
        return mail


def _reason(error: Exception) -> str:
    """Return why a delivery failed, without what was sent: an answer of the server, or the system's words."""
    reason = type(error).__name__
    if isinstance(error, smtplib.SMTPAuthenticationError):
        reason = f"the server refused user and password ({error.smtp_code})"
    elif isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else ""
        reason = f"the server answered {error.smtp_code} {answer}"
    elif isinstance(error, smtplib.SMTPRecipientsRefused):
        reason = "the server refused every recipient"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate does not hold: {error.verify_message}"
    elif isinstance(error, TimeoutError):
        reason = f"no answer within {ANSWER_SECONDS:g} s"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return escape(reason[:SHOWN_CHARACTERS])
