"""The one place that reads the environment: a frozen, validated Settings."""

import os
import socket
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline import encryption, secret_files
from pipeline.errors import ConfigurationError
from pipeline.formats import privacy

#: Broker URLs that Sluice supports; others lose what is not acknowledged in ways it cannot repair.
BROKER_SCHEMES = ("amqp", "amqps", "embedded")
#: Variables with the prefix that are no settings: the fault suite's.
OTHER_VARIABLES = {"SLUICE_FAILPOINT"}
#: Settings that may come from a file: field by variable, which with `_FILE` names the file.
SECRETS = {
    "BROKER_URL": "broker_url",
    "DATABASE_URL": "database_url",
    "SLUICE_SIGNING_KEY": "signing_key",
    "SLUICE_PREVIOUS_SIGNING_KEY": "previous_signing_key",
    "SLUICE_PRIVACY_KEY": "privacy_key",
}
#: Fewest bytes of a key that signs: as many as the digest has.
KEY_BYTES = 32
#: SQLAlchemy dialects that have a loader.
DATABASE_SCHEMES = ("postgresql", "sqlite")


class Settings(BaseSettings):
    """Every setting, with its default; each is read from the environment variable of its alias."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

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
    privacy_file: Path | None = Field(
        None, alias="SLUICE_PRIVACY_FILE", description="rules for columns of clean; empty: all is kept"
    )
    privacy_key: SecretStr = Field(
        SecretStr(""), alias="SLUICE_PRIVACY_KEY", description="makes the pseudonyms that the rules ask for"
    )
    state_dir: Path = Field(
        Path("var"), alias="SLUICE_STATE_DIR", description="checkpoint, embedded broker and embedded database"
    )
    host: str = Field(
        default_factory=socket.gethostname, alias="SLUICE_HOST", description="name of this machine in sources"
    )
    log_format: str = Field(
        "auto", alias="SLUICE_LOG_FORMAT", description="format of the lines, or auto to recognise it"
    )
    paths: str = Field(
        "",
        alias="SLUICE_PATHS",
        description="what `run` and `watch` take when no path is named; `:` separates",
    )
    batch_count: int = Field(
        5000, alias="SLUICE_BATCH_COUNT", ge=1, le=100_000, description="most lines in a batch"
    )
    batch_byte_size: int = Field(
        1 << 20, alias="SLUICE_BATCH_BYTE_SIZE", ge=1024, le=16 << 20, description="most bytes in a batch"
    )
    batch_period_seconds: float = Field(
        0.05,
        alias="SLUICE_BATCH_PERIOD_SECONDS",
        ge=0,
        le=60,
        description="longest wait of a line for its batch",
    )
    max_line_bytes: int = Field(
        1 << 20,
        alias="SLUICE_MAX_LINE_BYTES",
        ge=1024,
        le=16 << 20,
        description="a longer line is kept in parts",
    )
    sweep_seconds: float = Field(
        1.0, alias="SLUICE_SWEEP_SECONDS", gt=0, le=3600, description="time between two looks at every file"
    )
    watch_events: bool = Field(
        True,
        alias="SLUICE_WATCH_EVENTS",
        description="0: no file system events, the sweep alone, as always on NFS",
    )
    follow_links: bool = Field(
        False, alias="SLUICE_FOLLOW_LINKS", description="1: follow symbolic links to log files"
    )
    lake_concurrency: int = Field(
        1,
        alias="SLUICE_LAKE_CONCURRENCY",
        ge=1,
        le=256,
        description="children of the lake pool that `run` starts",
    )
    clean_concurrency: int | None = Field(
        None,
        alias="SLUICE_CLEAN_CONCURRENCY",
        ge=1,
        le=256,
        description="children of the clean pool that `run` starts; 2 where the database takes two writers",
    )
    audit_seconds: float = Field(
        60.0, alias="SLUICE_AUDIT_SECONDS", ge=1, description="time between two audits with repair by beat"
    )
    replay_seconds: float = Field(
        900.0,
        alias="SLUICE_REPLAY_SECONDS",
        ge=1,
        description="time between two replays of dead letters by beat",
    )
    log_level: str = Field("INFO", alias="SLUICE_LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Read and check the environment.

        Raises:
            ConfigurationError: names the variable, what is wrong with it and the value's kind that fits.
        """
        _refuse_misspelt({str(field.alias) for field in cls.model_fields.values()})
        read = {SECRETS[name]: value for name, value in secret_files.read_secrets(SECRETS).items()}
        try:
            settings = cls(**{**read, **overrides})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "environment"
            raise ConfigurationError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
        files = {"SLUICE_TLS_CA": settings.tls_ca, "SLUICE_TLS_CERTIFICATE": settings.tls_certificate}
        encryption.require_files([*files.items(), ("SLUICE_TLS_KEY", settings.tls_key)])
        _ = settings.privacy  # read now, so that what is wrong in it stops the start
        return settings

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

    @field_validator("signing_key", "previous_signing_key", "privacy_key", mode="after")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value().encode()) < KEY_BYTES:
            raise ValueError(f"a key has at least {KEY_BYTES} bytes: `openssl rand -hex 32` makes one")
        return value

    @field_validator("log_level", mode="after")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("state_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links

    @property
    def embedded_broker(self) -> bool:
        """True when messages travel through files in the state folder and not through RabbitMQ."""
        return self.broker_url.get_secret_value().startswith("embedded:")

    @property
    def broker_tls(self) -> dict[str, Any] | None:
        """TLS options of the broker's connection for kombu and Celery; None without TLS."""
        url = self.broker_url.get_secret_value()
        return encryption.broker_tls(url, self.tls_ca, self.tls_certificate, self.tls_key)

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys whose signatures are accepted, the one that signs first; empty: nothing is signed."""
        keys = (self.signing_key, self.previous_signing_key)
        return tuple(key.get_secret_value().encode() for key in keys if key.get_secret_value())

    @cached_property
    def privacy(self) -> privacy.Policy:
        """What clean keeps of each column."""
        return privacy.read(self.privacy_file, self.privacy_key.get_secret_value().encode())

    @property
    def broker_dir(self) -> Path:
        """Folder of the embedded broker."""
        return self.state_dir / "broker"

    @cached_property
    def sqlalchemy_url(self) -> str:
        """The database URL for SQLAlchemy, secret included: never print it."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.state_dir / 'sluice.db'}"

    @property
    def clean_children(self) -> int:
        """Children of the clean pool: its stage costs twice what the lake's does; SQLite has one writer."""
        return self.clean_concurrency or (1 if self.embedded_database else 2)

    @property
    def embedded_database(self) -> bool:
        """True when the database is SQLite."""
        return self.sqlalchemy_url.startswith("sqlite")


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"the port is not one: {error}") from None


def _refuse_misspelt(known: set[str]) -> None:
    """Refuse a variable that looks like a setting and is none: its writer meant something."""
    files = {name + secret_files.SUFFIX for name in SECRETS}
    for name in sorted(os.environ):
        if name.startswith("SLUICE_") and name not in known | OTHER_VARIABLES | files:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: there is no such setting{hint}")
