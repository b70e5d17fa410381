"""Servers that speak TLS alone, to who shows a certificate: RabbitMQ and PostgreSQL of the tests."""

import os
import pwd
import shutil
from pathlib import Path

from tests.certificates import Authority, Pair
from tests.services import PrivatePostgres, PrivateRabbit, free_port


class TlsRabbit(PrivateRabbit):
    """A node with a TLS port beside its plain one, which only `rabbitmqctl` and the test's set-up use."""

    def __init__(self, authority: Authority, server: Pair) -> None:
        self.tls_port = free_port()
        super().__init__(
            lines=(
                f"listeners.ssl.local = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {authority.ca}",
                f"ssl_options.certfile = {server.certificate}",
                f"ssl_options.keyfile = {server.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            )
        )

    def tls_url(self, user: str = "guest:guest", host: str = "localhost", vhost: str = "/") -> str:
        """Return the URL of the TLS port."""
        return f"amqps://{user}@{host}:{self.tls_port}/{vhost}"


class TlsPostgres(PrivatePostgres):
    """A server that takes its superuser from loopback, others with password, TLS and certificate."""

    def __init__(self, authority: Authority, server: Pair) -> None:
        super().__init__()
        keys = self.folder / "tls"
        keys.mkdir()
        for path in (authority.ca, server.certificate, server.key):
            shutil.copy(path, keys / path.name)
            if os.getuid() == 0:
                user = pwd.getpwnam("postgres")
                os.chown(keys / path.name, user.pw_uid, user.pw_gid)
        access = keys / "pg_hba.conf"
        access.write_text(
            "host all postgres 127.0.0.1/32 trust\n"
            "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        )
        self._options |= {
            "ssl": "on",
            "ssl_ca_file": str(keys / authority.ca.name),
            "ssl_cert_file": str(keys / server.certificate.name),
            "ssl_key_file": str(keys / server.key.name),
            "hba_file": str(access),
        }

    def tls_url(
        self, user: str, database: str, ca: Path, client: Pair | None, host: str = "localhost"
    ) -> str:
        """Return the URL of a user who verifies the server by this authority."""
        shown = f"&sslcert={client.certificate}&sslkey={client.key}" if client else "&sslcert=/nowhere"
        return (
            f"postgresql://{user}@{host}:{self.port}/{database}?sslmode=verify-full&sslrootcert={ca}{shown}"
        )
