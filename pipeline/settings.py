"""The one place that reads the environment: a frozen, validated Settings."""

import os
import socket
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from pipeline import encryption, secret_files
from pipeline.connections import SECRETS, Connections
from pipeline.errors import ConfigurationError
from pipeline.format_choice import AUTO, FormatChoice
from pipeline.logs import Style
from pipeline.retention import Retention

if TYPE_CHECKING:
    from pipeline.detect.rules import Rules
    from pipeline.enrich.enrichment import Enrichment

#: Variables with the prefix that are no settings: the fault suite's.
OTHER_VARIABLES = {"SLUICE_FAILPOINT"}
#: What is added to records where it is not turned off.
ENRICHMENTS = ("address", "agent")


class Settings(Connections):
    """Every setting, with its default; each is read from the environment variable of its alias."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    state_dir: Path = Field(
        Path("var"), alias="SLUICE_STATE_DIR", description="checkpoint, embedded broker and embedded database"
    )
    host: str = Field(
        default_factory=socket.gethostname, alias="SLUICE_HOST", description="name of this machine in sources"
    )
    log_format: str = Field(
        AUTO,
        alias="SLUICE_LOG_FORMAT",
        description="format of the lines, or auto to recognise it; PATTERN=FORMAT for some paths",
    )
    formats_dir: Path | None = Field(
        None, alias="SLUICE_FORMATS_DIR", description="folder of format files, *.toml, of your own"
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
    file_bytes_per_second: int = Field(
        0,
        alias="SLUICE_FILE_BYTES_PER_SECOND",
        ge=0,
        description="most bytes a second that are read of one followed file; 0: no limit",
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
    # Its stage costs twice what the lake's does; on SQLite, with its one writer, one parses while one stores.
    clean_concurrency: int = Field(
        2,
        alias="SLUICE_CLEAN_CONCURRENCY",
        ge=1,
        le=256,
        description="children of the clean pool that `run` starts",
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
    retention: str = Field(
        "",
        alias="SLUICE_RETENTION",
        description="days that rows are kept: lake=90,clean=365,rejected=30,findings=365,drifts=365; "
        "PATTERN:lake=7 for some paths",
    )
    enrich: str = Field(
        "address,agent", alias="SLUICE_ENRICH", description="what is added to records; none: nothing"
    )
    geoip: str = Field(
        "", alias="SLUICE_GEOIP", description="databases in MaxMind's format; `:` separates several"
    )
    lookups: Path | None = Field(
        None, alias="SLUICE_LOOKUPS", description="folder of COLUMN.csv: more columns by the value of one"
    )
    rules_file: Path | None = Field(
        None, alias="SLUICE_RULES", description="file that adjusts the rules of the detections"
    )
    log_level: str = Field("INFO", alias="SLUICE_LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR")
    log_style: Style = Field(
        Style.CONSOLE, alias="SLUICE_LOG_STYLE", description="console, or json: an object a line"
    )
    report_dir: Path | None = Field(
        None,
        alias="SLUICE_REPORT_DIR",
        description="folder where beat puts a report of each day; empty: none",
    )
    metrics_address: str = Field(
        "",
        alias="SLUICE_METRICS_ADDRESS",
        description="[host:]port for /metrics and /healthz; a port alone is on loopback; empty: none",
    )

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
        # Read now, so that what is wrong in them stops the start.
        _ = settings.privacy
        if settings.rules_file:
            _ = settings.rules
        return settings

    @field_validator("log_format", mode="after")
    @classmethod
    def _format_by_path(cls, value: str) -> str:
        FormatChoice.parse(value)
        return value

    @field_validator("retention", mode="after")
    @classmethod
    def _rules_of_retention(cls, value: str) -> str:
        Retention.parse(value)
        return value

    @field_validator("log_level", mode="after")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("enrich", mode="after")
    @classmethod
    def _known_parts(cls, value: str) -> str:
        parts = value.replace(" ", "").split(",")
        if parts != ["none"] and not set(parts) <= set(ENRICHMENTS):
            raise ValueError(f"use none, or some of {','.join(ENRICHMENTS)}")
        return ",".join(parts)

    @field_validator("metrics_address", mode="after")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            address(value)
        return value

    @field_validator("state_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links

    @property
    def embedded_broker(self) -> bool:
        """True when messages travel through files in the state folder and not through RabbitMQ."""
        return self.broker_url.get_secret_value().startswith("embedded:")

    @property
    def metrics_endpoint(self) -> tuple[str, int] | None:
        """Host and port of /metrics and /healthz, or None."""
        return address(self.metrics_address) if self.metrics_address else None

    @property
    def broker_dir(self) -> Path:
        """Folder of the embedded broker."""
        return self.state_dir / "broker"

    @property
    def enrichment(self) -> "Enrichment":
        """A new enrichment as it is set; files are read at its first use."""
        # Imported here: the watcher parses nothing.
        from pipeline.enrich.enrichment import Enrichment  # noqa: PLC0415

        databases = [Path(path) for path in self.geoip.split(":") if path]
        return Enrichment(self.enrich.split(","), databases, self.lookups)

    @cached_property
    def rules(self) -> "Rules":
        """The rules of the detections."""
        # Imported here: most processes detect nothing.
        from pipeline.detect.rules import load  # noqa: PLC0415

        return load(self.rules_file)

    @cached_property
    def sqlalchemy_url(self) -> str:
        """The database URL for SQLAlchemy, secret included: never print it."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.state_dir / 'sluice.db'}"

    @property
    def format_choice(self) -> FormatChoice:
        """The names of formats by path."""
        return FormatChoice.parse(self.log_format)

    @property
    def retention_rules(self) -> Retention:
        """How long rows are kept."""
        return Retention.parse(self.retention)

    @property
    def embedded_database(self) -> bool:
        """True when the database is SQLite."""
        return self.sqlalchemy_url.startswith("sqlite")


def address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[IPv6]:port` or `port`, which is on loopback.

    Raises:
        ValueError: there is no port between 1 and 65535.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("give a port between 1 and 65535, or host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def _refuse_misspelt(known: set[str]) -> None:
    """Refuse a variable that looks like a setting and is none: its writer meant something."""
    files = {name + secret_files.SUFFIX for name in SECRETS}
    for name in sorted(os.environ):
        if name.startswith("SLUICE_") and name not in known | OTHER_VARIABLES | files:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: there is no such setting{hint}")
