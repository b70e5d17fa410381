"""The one place that reads the environment: a frozen, validated Settings."""

import os
import socket
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import ConfigurationError

#: Broker URLs that Sluice supports; others lose what is not acknowledged in ways it cannot repair.
BROKER_SCHEMES = ("amqp", "amqps", "embedded")
#: Variables with the prefix that are no settings: the fault suite's.
OTHER_VARIABLES = {"SLUICE_FAILPOINT"}
#: SQLAlchemy dialects that have a loader.
DATABASE_SCHEMES = ("postgresql", "sqlite")


class Settings(BaseSettings):
    """Every setting, with its default; each is read from the environment variable of its alias."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    broker_url: SecretStr = Field(
        SecretStr("embedded://"), alias="BROKER_URL", description="amqp://… for RabbitMQ; empty: embedded"
    )
    database_url: SecretStr = Field(
        SecretStr(""), alias="DATABASE_URL", description="postgresql://…; empty: SQLite in the state folder"
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
        20_000, alias="SLUICE_BATCH_COUNT", ge=1, le=100_000, description="most lines in a batch"
    )
    batch_byte_size: int = Field(
        4 << 20, alias="SLUICE_BATCH_BYTE_SIZE", ge=1024, le=16 << 20, description="most bytes in a batch"
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
    replay_share: float = Field(
        0.25,
        alias="SLUICE_REPLAY_SHARE",
        ge=0,
        le=1,
        description="share of a lake child's time that a replay in the background takes; 0: none is done",
    )
    log_level: str = Field("INFO", alias="SLUICE_LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Read and check the environment.

        Raises:
            ConfigurationError: names the variable, what is wrong with it and the value's kind that fits.
        """
        _refuse_misspelt({str(field.alias) for field in cls.model_fields.values()})
        try:
            return cls(**overrides)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "environment"
            raise ConfigurationError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None

    @field_validator("broker_url", mode="after")
    @classmethod
    def _supported_broker(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value() or "embedded://"
        if url.partition("://")[0] not in BROKER_SCHEMES:
            raise ValueError(f"unsupported broker; use one of {', '.join(s + '://' for s in BROKER_SCHEMES)}")
        _check_port(url)
        # A host, because kombu warns of a URL without one.
        return SecretStr("embedded://localhost//" if url.startswith("embedded:") else url)

    @field_validator("database_url", mode="after")
    @classmethod
    def _supported_database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        scheme = url.partition("://")[0].partition("+")[0]
        if scheme == "postgres":
            raise ValueError("write postgresql:// instead of postgres://")
        if url and scheme not in DATABASE_SCHEMES:
            raise ValueError(
                f"unsupported database; use one of {', '.join(s + '://' for s in DATABASE_SCHEMES)}"
            )
        _check_port(url)
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
    for name in sorted(os.environ):
        if name.startswith("SLUICE_") and name not in known | OTHER_VARIABLES:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: there is no such setting{hint}")
