"""`check --live`: does a process of this place say that it lives? Asked of its own /healthz."""

import http.client
from contextlib import closing

from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

#: The processes that answer, by the name that they give themselves.
ROLES = ("watcher", "lake", "clean", "maintenance", "beat", "exporter", "flower", "web")
#: Flower's own address is set for the check; where it answers everyone, and what it says.
FLOWER, FLOWER_PATH, FLOWER_WORDS = "flower", "/healthcheck", "OK"
#: Seconds for the answer.
ANSWER_SECONDS = 1.0
#: Addresses that a listener takes to be reached at every one of the machine's.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked about, not bound


def problem(settings: Settings, role: str) -> str | None:
    """Return in words why the process of a role does not count as alive, None if it does.

    Raises:
        ConfigurationError: no address is set at which to ask.
    """
    endpoint = settings.metrics_endpoint
    if endpoint is None:
        raise ConfigurationError("SLUICE_METRICS_ADDRESS: set it for the process and for this check alike")
    host, port = EVERYWHERE.get(endpoint[0], endpoint[0]), endpoint[1]
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)) as connection:
            connection.request("GET", FLOWER_PATH if role == FLOWER else "/healthz")
            answer = connection.getresponse()
            words = answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{role}: {host}:{port} does not answer: {error}"
    if answer.status != http.HTTPStatus.OK:
        return words
    name = FLOWER if words == FLOWER_WORDS else words.partition(":")[0]
    return None if name == role else f"{host}:{port} is not the {role} but: {words}"
