"""What the containers of docker-compose.yml may do: rights, ports, volumes, limits, health."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from pipeline.cli.provision import COMPOSE_BROKER
from tests.docs.composing import LASTING, NODES, OURS, ROOT, composed, text


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the file."""
    return composed()


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
