"""docker-compose.yml is the whole installation, keeps no secret, and starts in order."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from pipeline.cli.main import COMMANDS, OK, main
from pipeline.cli.provision import COMPOSE_BROKER
from pipeline.connections import SECRETS as CONNECTION_SECRETS
from pipeline.secret_files import SUFFIX
from pipeline.settings import Settings
from pipeline.topology import MAINTENANCE, Stage

ROOT = Path(__file__).parents[2]
#: The services of ours, with the command that the documentation gives a person for the same thing.
OURS = {
    "provision": "python -m pipeline provision compose",
    "migrate": "python -m pipeline migrate",
    "roles": "python -m pipeline provision postgresql",
    "watcher": "python -m pipeline watch",
    "lake-worker": f"celery -A tasks worker -Q {Stage.LAKE.queue_name}",
    "clean-worker": f"celery -A tasks worker -Q {Stage.CLEAN.queue_name}",
    "maintenance-worker": f"celery -A tasks worker -Q {MAINTENANCE}",
    "beat": "celery -A tasks beat",
    "flower": "celery -A tasks flower",
    "web": "python -m pipeline web",
    "operator": "python -m pipeline status",
    "exporter": "python -m pipeline metrics",
}
#: The nodes of RabbitMQ; the first is there without a profile.
NODES = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
SERVERS = {*NODES, "postgres", "prometheus"}
#: What each profile adds.
PROFILES = {
    "monitoring": {"exporter", "prometheus"},
    "cluster": set(NODES[1:]),
    "tools": {"provision", "operator"},
}
SECRETS = ("RABBITMQ_COOKIE", "POSTGRES_PASSWORD")
#: What each service of ours is: its user of the broker, its role in the database.
IDENTITIES = {
    "watcher": ("watcher", None),
    "lake-worker": ("lake", "lake"),
    "clean-worker": ("clean", "clean"),
    "maintenance-worker": ("maintenance", "maintenance"),
    "beat": ("beat", "beat"),
    "flower": ("flower", None),
    "web": ("web", "web"),
    "exporter": ("web", "web"),
    "operator": ("operator", "maintenance"),
}
#: Those that run once and end, and those that only the owner of the tables can do.
ONCE, OWNERS = {"provision", "migrate", "roles", "operator"}, {"migrate", "roles"}
LASTING = set(OURS) - ONCE


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text()


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the file, variables left as they are written."""
    return dict(yaml.safe_load(text("docker-compose.yml"))["services"])


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


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_can_do_little(services: dict[str, dict[str, Any]], name: str) -> None:
    """No capability, no new privilege, no writable image; log files come in read-only."""
    service = services[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert all(mount.endswith(":/logs:ro") for mount in service.get("volumes", []) if "/logs" in mount)


def test_nothing_listens_to_the_world(services: dict[str, dict[str, Any]]) -> None:
    """Flower, page and Prometheus alone have a port on the host, on the loopback interface."""
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert ports == {
        "flower": ["127.0.0.1:5555:5555"],
        "web": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
    }


def test_what_must_last_is_in_a_volume(services: dict[str, dict[str, Any]]) -> None:
    """Messages, tables, checkpoints and schedule outlive their containers."""
    declared = yaml.safe_load(text("docker-compose.yml"))["volumes"]
    named = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}

    assert set(declared) == {name for name in named if "$" not in name and not name.startswith("./")}
    assert "checkpoints:/var/lib/sluice" in services["watcher"]["volumes"]


def test_the_image_holds_the_project_and_drops_root() -> None:
    """The Dockerfile copies each package and configuration module; its user is a number that is not 0."""
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", text("Dockerfile"), re.MULTILINE))
    sources = {source.rstrip("/") for line in copied for source in line.split()}
    modules = {path.name for path in ROOT.glob("*.py")} | {
        path.parent.name for path in ROOT.glob("*/__init__.py")
    }
    admitted = {line[1:].rstrip("/") for line in text(".dockerignore").splitlines() if line.startswith("!")}

    # The benchmarks start servers of their own: they are for a checkout.
    assert modules - {"tests", "bench"} <= sources
    assert sources == admitted
    assert re.findall(r"^USER (\d+):\d+$", text("Dockerfile"), re.MULTILINE)[-1] != "0"


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


def test_what_is_mounted_from_the_project_is_there(services: dict[str, dict[str, Any]]) -> None:
    """A file of the project that a container reads exists, and comes in read-only."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    ours = [mount.split(":") for mount in mounts if mount.startswith("./")]

    assert len(ours) > len(NODES)
    for source, _, mode in ours:
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_every_node_answers_to_one_name(services: dict[str, dict[str, Any]]) -> None:
    """Clients reach each RabbitMQ node as `broker`; a node's data has its own name and volume."""
    for name in NODES:
        assert services[name]["networks"]["inside"]["aliases"] == ["broker"]
        assert services[name]["hostname"] == name
        assert services[name]["volumes"][0] == f"{name}:/var/lib/rabbitmq"
    joined = re.findall(r"= rabbit@(\S+)", text("deploy/rabbitmq/40-join.conf"))
    assert joined == list(NODES)
    assert urlsplit(COMPOSE_BROKER).netloc == "broker:5672"


def test_nothing_grows_without_a_limit(services: dict[str, dict[str, Any]]) -> None:
    """Each service has a limit of memory and a log that is rolled over."""
    for name, service in services.items():
        assert "mem_limit" in service, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


@pytest.mark.parametrize("name", sorted(LASTING))
def test_health_is_asked_of_the_process_itself(services: dict[str, dict[str, Any]], name: str) -> None:
    """The health check of a service is the command that a person would type, for the role it has."""
    test = services[name]["healthcheck"]["test"]

    assert test[:-1] == ["CMD", "python", "-m", "pipeline", "check", "--live"]
    assert test[-1] == name.removesuffix("-worker")
    port = {"flower": 5555, "web": 8080}.get(name, 9464)
    assert services[name]["environment"]["SLUICE_METRICS_ADDRESS"].endswith(f":{port}")


def test_scaled_pools_have_names_of_their_own(services: dict[str, dict[str, Any]]) -> None:
    """A pool's node is named after its container, which has neither a fixed name nor a fixed host."""
    for name in ("lake-worker", "clean-worker"):
        command = services[name]["command"]
        assert command[command.index("-n") + 1].endswith("@%h")
        assert not {"hostname", "container_name", "ports"} & services[name].keys()


def test_prometheus_asks_every_service(services: dict[str, dict[str, Any]]) -> None:
    """Each service that serves metrics is scraped by its name, at its port."""
    config = yaml.safe_load(text("deploy/prometheus/prometheus.yml"))
    asked = {
        (found["names"][0], found["port"])
        for scrape in config["scrape_configs"]
        for found in scrape["dns_sd_configs"]
    }

    assert asked == {(name, 9464) for name in LASTING - {"flower", "web"}}
