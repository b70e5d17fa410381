"""docker-compose.yml is the whole installation, keeps no secret, and starts in order."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.main import COMMANDS, OK, main
from pipeline.connections import SECRETS as CONNECTION_SECRETS
from pipeline.secret_files import SUFFIX
from pipeline.settings import Settings
from tests.docs.composing import (
    IDENTITIES,
    ONCE,
    OURS,
    OWNERS,
    PROFILES,
    ROOT,
    SECRETS,
    SERVERS,
    composed,
    text,
)


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the file."""
    return composed()


def test_these_services_make_the_installation(services: dict[str, dict[str, Any]]) -> None:
    """Broker, database and each process of Sluice have a service, and nothing else has."""
    assert SERVERS | set(OURS) == set(services)


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_the_documented_command(services: dict[str, dict[str, Any]], name: str) -> None:
    """What a container runs is what a person would type."""
    service = services[name]
    words = [*service.get("entrypoint", []), *service["command"]]
    command = " ".join(words).replace("celery -q ", "celery ")

    assert command.startswith(OURS[name])
    if "pipeline" in command:
        assert words[3] in COMMANDS


def test_no_secret_stands_in_the_file() -> None:
    """Each secret is a variable without a default, whose absence stops compose and names it."""
    uses = re.findall(r"\$\{(\w+)([^}]*)\}", text("docker-compose.yml"))

    for secret in SECRETS:
        assert {rest.startswith(":?set it in .env") for name, rest in uses if name == secret} == {True}
    urls = re.findall(r"://[^@\n\"]+@", text("docker-compose.yml"))
    assert {"${" in url for url in urls} == {True}


def test_the_example_names_every_variable_and_no_secret() -> None:
    """.env.example lists what the file asks for, secrets empty; .env itself is never committed."""
    asked = set(re.findall(r"\$\{(\w+)", text("docker-compose.yml")))
    shown = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE))

    assert asked == set(shown)
    assert {shown[secret] for secret in SECRETS} == {""}
    assert ".env" in text(".gitignore").split()


@pytest.mark.parametrize("name", OURS)
def test_settings_that_a_service_gets_exist(services: dict[str, dict[str, Any]], name: str) -> None:
    """A variable of a container is a setting of Sluice or of Flower, spelt as it is read."""
    known = {field.alias for field in Settings.model_fields.values()}
    known |= {name + SUFFIX for name in CONNECTION_SECRETS}
    given = services[name].get("environment", {})

    assert not {
        variable for variable in given if variable not in known and not variable.startswith("FLOWER_")
    }


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_container_holds_the_files_of_its_own_role_alone(
    services: dict[str, dict[str, Any]], name: str
) -> None:
    """No password is in its environment, every file that it is told of is there, and none beside them."""
    service = services[name]
    broker, database = IDENTITIES[name]
    files = {variable: path for variable, path in service["environment"].items() if variable.endswith(SUFFIX)}

    assert files["BROKER_URL_FILE"] == f"/run/secrets/broker-url-{broker}"
    assert files.get("DATABASE_URL_FILE") == (database and f"/run/secrets/database-url-{database}")
    assert sorted(files.values()) == sorted(f"/run/secrets/{secret}" for secret in service["secrets"])
    # Where alerts go is the operator's own to say; a file would have to be there without any.
    given = {variable for variable in service["environment"] if not variable.startswith("SLUICE_ALERT_")}
    assert not given & {*CONNECTION_SECRETS, "FLOWER_BASIC_AUTH"}


def test_provision_writes_every_secret(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """What is mounted is what the command makes; the owner's password is with the owner's services alone."""
    declared = yaml.safe_load(text("docker-compose.yml"))["secrets"]
    used = {secret for name in IDENTITIES for secret in services[name]["secrets"]}
    assert main(["provision", "compose", "--secrets", str(tmp_path)]) == OK

    assert used == set(declared)
    assert used | {"definitions.json"} <= {path.name for path in tmp_path.iterdir()}
    for name, secret in declared.items():
        assert secret["file"] == "${SECRETS_DIR:-./secrets}/" + name
    assert {name for name in OURS if "DATABASE_URL" in services[name].get("environment", {})} == OWNERS


def test_only_what_needs_the_database_can_reach_it() -> None:
    """Watcher and Flower are not given the database: they go on when it is away."""
    assert {name for name, (_, database) in IDENTITIES.items() if database is None} == {"watcher", "flower"}


def test_everything_starts_in_order(services: dict[str, dict[str, Any]]) -> None:
    """A service waits for the health of its servers, and for the migration where it uses tables."""
    for name, service in services.items():
        waits = {target: wait["condition"] for target, wait in service.get("depends_on", {}).items()}
        for target, condition in waits.items():
            assert condition == (
                "service_completed_successfully" if target in OWNERS else "service_healthy"
            ), name
            assert "healthcheck" in services[target] or target in OWNERS, name
        if name in IDENTITIES:
            assert "rabbitmq" in waits, name
        if "worker" in name:
            assert {"postgres", "roles"} <= set(waits), name
    assert set(services["roles"]["depends_on"]) == {"migrate"}


def test_what_runs_for_ever_is_watched_and_restarted(services: dict[str, dict[str, Any]]) -> None:
    """Each lasting service has a health check with a deadline and comes back after a crash."""
    for name in services.keys() - ONCE:
        assert services[name]["restart"] == "unless-stopped", name
        assert {"test", "interval", "timeout", "retries"} <= set(services[name]["healthcheck"]), name


def test_compose_takes_the_file() -> None:
    """The tool itself accepts the file once the variables are set, and refuses it naming one that is not."""
    if not (tool := shutil.which("docker-compose")):
        pytest.skip("docker-compose is not installed")
    values = {"LOG_DIR": "/var/log"} | dict.fromkeys(SECRETS, "unused")
    environment = {"PATH": os.environ["PATH"], **values}

    def config() -> subprocess.CompletedProcess[str]:
        profiles = [f"--profile={profile}" for profile in PROFILES]
        command = [tool, *profiles, "config", "-q"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    accepted = config()
    del environment["POSTGRES_PASSWORD"]
    refused = config()

    assert not accepted.returncode, accepted.stderr
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr


def test_profiles_add_what_they_say(services: dict[str, dict[str, Any]]) -> None:
    """Without a profile there is one broker and no monitoring; each profile adds its services."""
    for profile, added in PROFILES.items():
        assert added == {name for name, service in services.items() if service.get("profiles") == [profile]}
    assert {profile for service in services.values() for profile in service.get("profiles", [])} == set(
        PROFILES
    )
