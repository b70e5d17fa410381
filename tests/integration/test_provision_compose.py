"""What `provision compose` writes lets each container in with its own files, on real servers."""

import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from db import roles
from pipeline import publish, topology
from pipeline.cli.main import OK, main
from pipeline.definitions import password_hash
from pipeline.depths import queue_depths
from pipeline.permissions import Role
from pipeline.settings import Settings
from tests.services import PrivateRabbit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the secrets, written twice."""
    found = tmp_path_factory.mktemp("compose") / "secrets"
    for _ in range(2):
        assert main(["provision", "compose", "--secrets", str(found)]) == OK
    return found


def test_secrets_are_for_their_owner_and_stay(folder: Path) -> None:
    """A second call changes none; the definitions alone may be read by the server's user, and hold hashes."""
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert main(["provision", "compose", "--secrets", str(folder)]) == OK

    definitions = texts.pop("definitions.json")
    assert texts == {name: (folder / name).read_text() for name in texts}
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in texts} == {0o600}
    assert {f"broker-url-{role.value}" for role in Role} < set(texts)
    assert {f"database-url-{role}" for role in roles.ROLES} < set(texts)
    words = [urlsplit(text.strip()).password or text.strip() for text in texts.values()]
    assert not [word for word in words if word in definitions]


def test_a_broker_that_starts_with_the_definitions_lets_each_role_in(folder: Path, tmp_path: Path) -> None:
    """RabbitMQ loads the file at its start, as deploy/rabbitmq/50-definitions.conf tells it to."""
    loaded = json.loads((folder / "definitions.json").read_text())
    # Whoever starts the node for the tests looks for its own user.
    guest = {"name": "guest", "tags": "", "hashing_algorithm": "rabbit_password_hashing_sha256"}
    loaded["users"].append({**guest, "password_hash": password_hash("guest")})
    loaded["vhosts"].append({"name": "/"})
    loaded["permissions"].append({"user": "guest", "vhost": "/", "configure": "", "write": "", "read": ""})
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(loaded))
    for parent in (path, *path.parents[:3]):
        parent.chmod(0o755)
    with PrivateRabbit(lines=(f"load_definitions = {path}",)) as rabbit:
        for role in Role:
            parts = urlsplit((folder / f"broker-url-{role.value}").read_text().strip())
            place = f"{parts.username}:{parts.password}@127.0.0.1:{rabbit.port}"
            url = parts._replace(netloc=place).geturl()
            settings = Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(url))
            publish.check(settings)
            assert len(queue_depths(settings)) == len(topology.LIVE_QUEUES)
