"""TLS to both servers: the right certificates work, and each wrong one is refused."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from bench.servers import execute
from db import schema
from pipeline import publish
from pipeline.batch import Batch, Source
from pipeline.depths import queue_depths
from pipeline.errors import BrokerUnavailable, ConfigurationError, DatabaseUnavailable
from pipeline.publish import Publisher
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.certificates import Authority, Pair
from tests.hardened import TlsPostgres, TlsRabbit
from tests.services import wait_until

pytestmark = pytest.mark.slow

BATCH = Batch(Source(key="ab" * 16, host="web-1", path="/var/log/access.log"), 0, b"line\n")


@dataclass(frozen=True)
class Trust:
    """An authority with what it signed, and one that nobody knows."""

    ours: Authority
    foreign: Authority
    server: Pair
    expired: Pair
    client: Pair
    stranger: Pair


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """Certificates for the host name localhost, and not for the address 127.0.0.1."""
    folder = tmp_path_factory.mktemp("trust")
    ours, foreign = Authority(folder / "ours", "ours"), Authority(folder / "foreign", "foreign")
    return Trust(
        ours,
        foreign,
        ours.issue("server", "localhost"),
        ours.issue("expired", "localhost", expired=True),
        ours.issue("client"),
        foreign.issue("stranger"),
    )


@pytest.fixture(scope="module")
def rabbit(trust: Trust) -> Iterator[TlsRabbit]:
    """A node whose certificate is as it should be."""
    with TlsRabbit(trust.ours, trust.server) as node:
        yield node


@pytest.fixture(scope="module")
def postgres(trust: Trust) -> Iterator[TlsPostgres]:
    """A server whose certificate is as it should be, with a user and a database."""
    with TlsPostgres(trust.ours, trust.server) as server:
        execute(server.url, "CREATE ROLE ann LOGIN PASSWORD 'secret'", "CREATE DATABASE logs OWNER ann")
        yield server


def settings_of(tmp_path: Path, url: str, ca: Path | None, client: Pair | None) -> Settings:
    """Return the settings of a process that connects like this."""
    return Settings.from_environment(
        state_dir=tmp_path / "var",
        broker_url=SecretStr(url),
        tls_ca=ca,
        tls_certificate=client and client.certificate,
        tls_key=client and client.key,
    )


def test_the_right_certificates_open_the_broker(trust: Trust, rabbit: TlsRabbit, tmp_path: Path) -> None:
    """A batch is confirmed in both queues through TLS."""
    settings = settings_of(tmp_path, rabbit.tls_url(), trust.ours.ca, trust.client)

    with Publisher(settings) as publisher:
        publisher.publish(BATCH)

    for stage in Stage:
        wait_until(lambda stage=stage: queue_depths(settings)[stage.queue_name].messages, "the batch")


def test_a_broker_that_reads_nothing_does_not_hold_the_watcher(
    trust: Trust, rabbit: TlsRabbit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the buffers take is not confirmed in time, and the end of TLS is not waited for either."""
    monkeypatch.setattr(publish, "CONFIRM_SECONDS", 1.0)
    settings = settings_of(tmp_path, rabbit.tls_url(), trust.ours.ca, trust.client)
    publisher, refused = Publisher(settings), threading.Event()
    publisher.publish(BATCH)
    large = Batch(BATCH.source, 5, os.urandom(24 << 20) + b"\n")

    def publish_large() -> None:
        with pytest.raises(BrokerUnavailable):
            publisher.publish(large)
        refused.set()

    assert rabbit.child is not None
    node = psutil.Process(rabbit.child.pid)
    frozen = [node, *node.children(recursive=True)]
    for process in frozen:
        process.suspend()
    try:
        threading.Thread(target=publish_large, daemon=True).start()
        assert refused.wait(60)
    finally:
        for process in frozen:
            process.resume()


@pytest.mark.parametrize("wrong", ["authority", "system's authorities", "host", "plain text"])
def test_a_server_that_is_not_the_right_one_is_refused(
    trust: Trust, rabbit: TlsRabbit, tmp_path: Path, wrong: str
) -> None:
    """Signed by someone else, for another host, or asked without TLS: nothing is sent."""
    ca = {"authority": trust.foreign.ca, "system's authorities": None}.get(wrong, trust.ours.ca)
    url = rabbit.tls_url(host="127.0.0.1" if wrong == "host" else "localhost")
    if wrong == "plain text":
        url = url.replace("amqps:", "amqp:")

    with pytest.raises((ConfigurationError, BrokerUnavailable)) as refused:
        publish.check(settings_of(tmp_path, url, ca, trust.client))

    if wrong != "plain text":
        assert "no TLS connection can be made" in str(refused.value)
        assert ("ostname" if wrong == "host" else "certificate verify failed") in str(refused.value).replace(
            "IP address mismatch", "hostname"
        )


@pytest.mark.parametrize("client", ["none", "stranger"])
def test_the_broker_refuses_who_shows_no_certificate_of_ours(
    trust: Trust, rabbit: TlsRabbit, tmp_path: Path, client: str
) -> None:
    """A client without a certificate, or with one of another authority, stays outside."""
    shown = trust.stranger if client == "stranger" else None

    with pytest.raises((ConfigurationError, BrokerUnavailable)):
        publish.check(settings_of(tmp_path, rabbit.tls_url(), trust.ours.ca, shown))


def test_an_expired_broker_is_refused(trust: Trust, tmp_path: Path) -> None:
    """The message says that it is the certificate's time."""
    with (
        TlsRabbit(trust.ours, trust.expired) as node,
        pytest.raises(ConfigurationError, match=r"no TLS connection can be made.*expired"),
    ):
        publish.check(settings_of(tmp_path, node.tls_url(), trust.ours.ca, trust.client))


def test_the_right_certificates_open_the_database(trust: Trust, postgres: TlsPostgres) -> None:
    """The schema is made through TLS, with password and certificate."""
    schema.upgrade(postgres.tls_url("ann:secret", "logs", trust.ours.ca, trust.client))

    schema.check(postgres.tls_url("ann:secret", "logs", trust.ours.ca, trust.client))


@pytest.mark.parametrize(
    "wrong", ["authority", "host", "no certificate", "stranger", "password", "plain text"]
)
def test_a_wrong_database_connection_is_refused(trust: Trust, postgres: TlsPostgres, wrong: str) -> None:
    """Another authority, another host, no certificate or a foreign one, a wrong password, no TLS: refused."""
    client = {"no certificate": None, "stranger": trust.stranger}.get(wrong, trust.client)
    ca = trust.foreign.ca if wrong == "authority" else trust.ours.ca
    user = "ann:wrong" if wrong == "password" else "ann:secret"
    url = postgres.tls_url(user, "logs", ca, client, host="127.0.0.1" if wrong == "host" else "localhost")
    if wrong == "plain text":
        url = url.replace("sslmode=verify-full", "sslmode=disable")

    with pytest.raises((ConfigurationError, DatabaseUnavailable)) as refused:
        schema.check(url)

    assert "secret" not in str(refused.value)


def test_an_expired_database_is_refused(trust: Trust) -> None:
    """Libpq checks the time of the certificate."""
    with TlsPostgres(trust.ours, trust.expired) as server:
        url = server.tls_url("ann:secret", "logs", trust.ours.ca, trust.client)
        with pytest.raises((ConfigurationError, DatabaseUnavailable), match="certificate verify failed"):
            schema.check(url)
