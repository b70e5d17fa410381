"""Where the servers are and how they are reached: the part of the settings that holds every secret."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from pipeline import encryption
from pipeline.alerts.destination import mailbox, webhook
from pipeline.formats import privacy

if TYPE_CHECKING:
    from pipeline.alerts.channels import Channel

#: Broker URLs that Sluice supports; others lose what is not acknowledged in ways it cannot repair.
BROKER_SCHEMES = ("amqp", "amqps", "embedded")
#: SQLAlchemy dialects that have a loader.
DATABASE_SCHEMES = ("postgresql", "sqlite")
#: Settings that may come from a file: field by variable, which with `_FILE` names the file.
SECRETS = {
    "BROKER_URL": "broker_url",
    "DATABASE_URL": "database_url",
    "SLUICE_SIGNING_KEY": "signing_key",
    "SLUICE_PREVIOUS_SIGNING_KEY": "previous_signing_key",
    "SLUICE_SEAL_KEY": "seal_key",
    "SLUICE_PREVIOUS_SEAL_KEY": "previous_seal_key",
    "SLUICE_PRIVACY_KEY": "privacy_key",
    "SLUICE_ALERT_WEBHOOK": "alert_webhook",
    "SLUICE_ALERT_KEY": "alert_key",
    "SLUICE_ALERT_MAIL": "alert_mail",
    "SLUICE_WEB_AUTH": "web_auth",
}
#: Fewest bytes of a key that signs: as many as the digest has.
KEY_BYTES = 32


class Connections(BaseSettings):
    """URLs, certificates and keys; `Settings` adds the rest."""

    # Before the URLs, whose check asks for it.
    allow_plaintext: bool = Field(
        False,
        alias="SLUICE_ALLOW_PLAINTEXT",
        description="1: connect to other machines without TLS, in a network that no one else is in",
    )
    broker_url: SecretStr = Field(
        SecretStr("embedded://"), alias="BROKER_URL", description="amqp://… for RabbitMQ; empty: embedded"
    )
    database_url: SecretStr = Field(
        SecretStr(""), alias="DATABASE_URL", description="postgresql://…; empty: SQLite in the state folder"
    )
    tls_ca: Path | None = Field(
        None, alias="SLUICE_TLS_CA", description="who signs the broker's certificate; empty: the system's"
    )
    tls_certificate: Path | None = Field(
        None, alias="SLUICE_TLS_CERTIFICATE", description="shown to a broker that asks for one"
    )
    tls_key: Path | None = Field(None, alias="SLUICE_TLS_KEY", description="the certificate's private key")
    signing_key: SecretStr = Field(
        SecretStr(""),
        alias="SLUICE_SIGNING_KEY",
        description="signs batches; what carries no signature of it is a dead letter",
    )
    previous_signing_key: SecretStr = Field(
        SecretStr(""),
        alias="SLUICE_PREVIOUS_SIGNING_KEY",
        description="accepted beside the other while keys are changed",
    )
    seal_key: SecretStr = Field(
        SecretStr(""), alias="SLUICE_SEAL_KEY", description="signs the seals of the lake's hash chain"
    )
    previous_seal_key: SecretStr = Field(
        SecretStr(""),
        alias="SLUICE_PREVIOUS_SEAL_KEY",
        description="accepted beside the other until every source has a new seal",
    )
    privacy_file: Path | None = Field(
        None, alias="SLUICE_PRIVACY_FILE", description="rules for columns of clean; empty: all is kept"
    )
    privacy_key: SecretStr = Field(
        SecretStr(""), alias="SLUICE_PRIVACY_KEY", description="makes the pseudonyms that the rules ask for"
    )

    web_auth: SecretStr = Field(
        SecretStr(""), alias="SLUICE_WEB_AUTH", description="user:password of the page; needed off loopback"
    )
    # Before the address, which is checked with it.
    alert_key: SecretStr = Field(
        SecretStr(""), alias="SLUICE_ALERT_KEY", description="signs what the webhook gets"
    )
    alert_webhook: SecretStr = Field(
        SecretStr(""), alias="SLUICE_ALERT_WEBHOOK", description="https://…: gets a POST for what was noticed"
    )
    alert_mail: SecretStr = Field(
        SecretStr(""),
        alias="SLUICE_ALERT_MAIL",
        description="smtp[s]://user:password@host?from=…&to=…: sends mails",
    )

    @field_validator("broker_url", mode="after")
    @classmethod
    def _supported_broker(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        url = value.get_secret_value() or "embedded://"
        if url.partition("://")[0] not in BROKER_SCHEMES:
            raise ValueError(f"unsupported broker; use one of {', '.join(s + '://' for s in BROKER_SCHEMES)}")
        _check_port(url)
        if encryption.is_plain_broker(url) and not given.data.get("allow_plaintext"):
            raise ValueError(
                f"amqp:// leaves this machine in plain text: use amqps://, or {encryption.PERMISSION}"
            )
        # A host, because kombu warns of a URL without one.
        return SecretStr("embedded://localhost//" if url.startswith("embedded:") else url)

    @field_validator("database_url", mode="after")
    @classmethod
    def _supported_database(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        url = value.get_secret_value()
        scheme = url.partition("://")[0].partition("+")[0]
        if scheme == "postgres":
            raise ValueError("write postgresql:// instead of postgres://")
        if url and scheme not in DATABASE_SCHEMES:
            raise ValueError(
                f"unsupported database; use one of {', '.join(s + '://' for s in DATABASE_SCHEMES)}"
            )
        _check_port(url)
        if encryption.is_plain_database(url) and not given.data.get("allow_plaintext"):
            raise ValueError(
                "another machine's database needs ?sslmode=verify-full&sslrootcert=FILE, "
                f"or {encryption.PERMISSION}"
            )
        return value

    @field_validator(
        "signing_key",
        "previous_signing_key",
        "seal_key",
        "previous_seal_key",
        "privacy_key",
        "alert_key",
        mode="after",
    )
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value().encode()) < KEY_BYTES:
            raise ValueError(f"a key has at least {KEY_BYTES} bytes: `openssl rand -hex 32` makes one")
        return value

    @field_validator("alert_webhook", mode="after")
    @classmethod
    def _supported_webhook(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        if url := value.get_secret_value():
            webhook(url, "", allow_plaintext=bool(given.data.get("allow_plaintext")))
        return value

    @field_validator("alert_mail", mode="after")
    @classmethod
    def _supported_mail(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value():
            mailbox(url)
        return value

    @property
    def alert_channels(self) -> dict[str, "Channel"]:
        """The ways on which alerts are sent, by name."""
        # Imported here: most processes send none.
        from pipeline.alerts.channels import MailChannel, WebhookChannel  # noqa: PLC0415

        found: dict[str, Channel] = {}
        if url := self.alert_webhook.get_secret_value():
            key = self.alert_key.get_secret_value()
            found["webhook"] = WebhookChannel(webhook(url, key, allow_plaintext=self.allow_plaintext))
        if url := self.alert_mail.get_secret_value():
            found["mail"] = MailChannel(mailbox(url), allow_plaintext=self.allow_plaintext)
        return found

    @property
    def broker_tls(self) -> dict[str, Any] | None:
        """TLS options of the broker's connection for kombu and Celery; None without TLS."""
        url = self.broker_url.get_secret_value()
        return encryption.broker_tls(url, self.tls_ca, self.tls_certificate, self.tls_key)

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys whose signatures are accepted, the one that signs first; empty: nothing is signed."""
        return _set_keys(self.signing_key, self.previous_signing_key)

    @property
    def seal_keys(self) -> tuple[bytes, ...]:
        """The keys that seals may be signed by, the one that signs first; empty: none is signed."""
        return _set_keys(self.seal_key, self.previous_seal_key)

    @cached_property
    def privacy(self) -> privacy.Policy:
        """What clean keeps of each column."""
        return privacy.read(self.privacy_file, self.privacy_key.get_secret_value().encode())


def _set_keys(*keys: SecretStr) -> tuple[bytes, ...]:
    return tuple(key.get_secret_value().encode() for key in keys if key.get_secret_value())


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"the port is not one: {error}") from None
