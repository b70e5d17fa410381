"""The whole system with TLS, roles, secrets in files and signed batches: it works, and nothing leaks."""

import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import kombu
import psutil
import pytest
from kombu.pidbox import Mailbox

from pipeline.topology import Stage
from tasks.routing import stage_task_id
from tests.certificates import Authority
from tests.hardened import FLOWER_USER, ROOT, Installation, TlsPostgres, TlsRabbit, provision
from tests.payloads import XSS
from tests.services import stop_child, wait_until

pytestmark = pytest.mark.slow

CANARY = "canary-of-a-line"
LINE = f'192.0.2.1 - ann [01/Mar/2023:00:00:09 +0000] "GET /{CANARY} HTTP/1.1" 200 12 "-" "{CANARY}"\n'


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The system with some lines stored by both stages, one of them rejected, and one dead letter."""
    folder = tmp_path_factory.mktemp("hardened")
    authority = Authority(folder / "authority", "ours")
    server = authority.issue("server", "localhost")
    with ExitStack() as stack:
        rabbit = stack.enter_context(TlsRabbit(authority, server))
        postgres = stack.enter_context(TlsPostgres(authority, server))
        system = provision(rabbit, postgres, authority, folder)
        try:
            system.start_all()
            (folder / "logs" / "a.log").write_text(LINE * 5 + f"{CANARY} is no request\n")
            wait_until(lambda: system.count("raw_logs") == 6, "the lake", 90)
            wait_until(lambda: system.count("clean_logs") == 5, "the records")
            yield system
        finally:
            for child in system.children.values():
                child.terminate()
            for child in system.children.values():
                stop_child(child, signal.SIGTERM)


@pytest.mark.timeout(300)
def test_every_part_works_with_its_own_role(system: Installation) -> None:
    """Lines are stored and audited, beat's watch sees its probe, the operator sees the status."""
    status = system.run(("operator", "maintenance"), "status", "--json")
    shown = json.loads(status.stdout.splitlines()[-1])

    assert status.returncode == 0, status.stderr
    assert [source["lag_bytes"] for source in shown["sources"]] == [0]
    wait_until(lambda: system.count("watches WHERE seen_at IS NOT NULL") == 2, "the probe in both stages", 90)
    assert system.count("watches WHERE problem IS NOT NULL") == 0
    wait_until(lambda: "audit.repair" in system.logs and "succeeded" in system.logs, "an audit")
    for name, child in system.children.items():
        assert child.poll() is None, name
    assert "ACCESS_REFUSED" not in system.logs
    assert "permission denied" not in system.logs


@pytest.mark.timeout(300)
def test_flower_shows_and_does_nothing(system: Installation) -> None:
    """Without its password every page is closed; with it, what would change a pool is refused."""
    wait_until(lambda: system.get("/api/workers?refresh=1")[0] == 200, "Flower")
    for path in ("/", "/workers", "/tasks", "/broker", "/api/workers", "/api/tasks", "/metrics"):
        assert system.get(path, None)[0] == 401, path
        assert system.get(path, "viewer:wrong")[0] == 401, path
        assert system.get(path)[0] == 200, path
    assert system.get("/healthcheck", None) == (200, "OK")
    worker = next(iter(json.loads(system.get("/api/workers?refresh=1")[1])))
    for path in (
        f"/api/worker/shutdown/{worker}",
        f"/api/worker/pool/restart/{worker}",
        "/api/task/send-task/x",
    ):
        assert system.get(path, method="POST")[0] in (403, 405), path


@pytest.mark.timeout(300)
def test_remote_control_cannot_stop_a_pool(system: Installation) -> None:
    """Not even the administrator's shutdown is obeyed; a question is answered."""
    before = {name: child.pid for name, child in system.children.items()}
    with system.admin() as connection:
        box = Mailbox("celery", type="fanout", connection=connection, accept=["json", "msgpack"])
        for command in ("shutdown", "pool_shrink", "cancel_consumer", "rate_limit", "revoke", "objgraph"):
            box.abcast(command, {"queue": "queue-data-lake", "n": 1})
        # A slow pool may answer after the others.
        wait_until(lambda: len(box.multi_call("ping", timeout=5)) == 3, "the answer of each pool")

    assert before == {name: child.pid for name, child in system.children.items() if child.poll() is None}
    assert "KeyError('shutdown')" in system.logs


def events_of(system: Installation, line: str) -> str:
    """Write a line, and return the events that its way makes."""
    seen: list[str] = []
    with system.admin() as connection, connection.channel() as channel:
        everything = kombu.Queue("", kombu.Exchange("celeryev", "topic"), routing_key="#", exclusive=True)
        bound = everything(channel)
        bound.declare()
        stored = system.count("clean_logs")
        with (system.folder / "logs" / "a.log").open("a") as log:
            log.write(line)
        wait_until(lambda: system.count("clean_logs") == stored + 1, "one more record")

        def gather() -> bool:
            while (message := bound.get(no_ack=True, accept=["json"])) is not None:
                seen.append(json.dumps([message.headers, message.payload]))
            return "task-succeeded" in "".join(seen)

        wait_until(gather, "the events")
    return "".join(seen)


@pytest.mark.timeout(300)
def test_no_secret_is_anywhere(system: Installation) -> None:
    """Lines, passwords, URLs and keys are in no log, page, answer, event, metric or list of processes."""
    words = {CANARY, FLOWER_USER.split(":")[1], system.secret("signing-key")}
    for path in (system.folder / "secrets").iterdir():
        if "url" in path.name:
            words |= {path.read_text().strip(), path.read_text().split(":")[2].split("@")[0]}
    events = events_of(system, LINE)
    worker = next(iter(json.loads(system.get("/api/workers?refresh=1")[1])))
    tasks = json.loads(system.get("/api/tasks")[1])
    pages = ["/", "/workers", "/tasks", "/broker", "/api/workers?refresh=1", "/api/tasks", "/metrics"]
    pages += [f"/worker/{worker}", *(f"/task/{key}" for key in list(tasks)[:4]), "/api/queues/length"]
    answers = {path: system.get(path) for path in pages}
    places = {path: text for path, (_, text) in answers.items()}
    places |= {"events": events, "logs": system.logs, "ps": processes(system)}
    for command in (("status",), ("dead", "list"), ("dead", "show"), ("check",), ("audit",)):
        done = system.run(("operator", "maintenance"), *command)
        places[" ".join(command)] = done.stdout + done.stderr

    assert tasks
    assert {status for status, _ in answers.values()} == {200}
    assert not [(word[:12], place) for place, text in places.items() for word in words if word in text]


def processes(system: Installation) -> str:
    """Return arguments and environment of every process of the system."""
    found = []
    for child in system.children.values():
        for process in (psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)):
            found += [*process.cmdline(), json.dumps(process.environ())]
    return "\n".join(found)


def test_what_is_kept_on_disk_is_for_its_owner(system: Installation) -> None:
    """State folder 0700, checkpoint 0600, secrets 0600; nothing of the state is open to others."""
    state = system.folder / "var"

    assert state.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in state.iterdir() if path.is_file()}
    assert {mode for name, mode in modes.items() if name.startswith("checkpoint")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (system.folder / "secrets").iterdir()} == {0o600}


@pytest.mark.timeout(300)
def test_maintenance_replays_and_no_pool_of_a_stage_does(system: Installation) -> None:
    """A replay that the operator orders is done by the worker of the maintenance queue, with its own role."""
    ordered = system.run(("operator", "maintenance"), "replay", "clean", "--background", "--all", "--json")

    assert ordered.returncode == 0, ordered.stderr
    log = system.folder / "maintenance.log"
    wait_until(lambda: "ranges replaced" in log.read_text(), "the replay")
    assert "permission denied" not in system.logs
    for stage in Stage:
        assert "audit.repair[" not in (system.folder / f"{stage.value}.log").read_text()
    assert "audit.repair[" in log.read_text()


@pytest.mark.timeout(300)
def test_one_person_is_erased_by_the_operator(system: Installation) -> None:
    """The roles of a person's commands suffice, and the value is in no log of any process."""
    stored = system.count("raw_logs")
    with (system.folder / "logs" / "a.log").open("a") as log:
        log.write(LINE.replace("- ann", "- erased-canary"))
    wait_until(lambda: system.count("raw_logs") == stored + 1, "the line")
    wait_until(lambda: system.count("clean_logs WHERE \"user\" = 'erased-canary'") == 1, "the record")

    done = system.run(("operator", "maintenance"), "erase", "--user", "erased-canary", "--json")

    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["rows"] == {"raw_logs": 1, "clean_records": 1}
    assert system.count("raw_logs") == stored
    assert "erased-canary" not in system.logs + done.stdout + done.stderr
    assert system.run(("operator", "maintenance"), "audit", "--deep").returncode == 0
    reader = system.run(("operator", "reader"), "access", "--user", "erased-canary", "--json")
    assert json.loads(reader.stdout.splitlines()[-1]) == {"rows": 0}, reader.stderr


@pytest.mark.timeout(300)
def test_flower_and_exporter_are_asked_with_our_own_commands(system: Installation) -> None:
    """Health checks of containers need no other program; the exporter's role measures all that it serves."""
    asked = {**system.environment("flower"), "SLUICE_METRICS_ADDRESS": f"127.0.0.1:{system.port}"}
    command = [sys.executable, "-m", "pipeline", "check", "--live", "flower"]
    wait_until(lambda: system.get("/healthcheck", None)[0] == 200, "Flower")
    assert subprocess.run(command, cwd=ROOT, env=asked, check=False, capture_output=True).returncode == 0
    measured = system.run(("web", "web"), "metrics", "--once")

    assert measured.returncode == 0, measured.stderr
    assert 'sluice_up{part="database"} 1.0' in measured.stdout
    assert "sluice_missing_bytes" in measured.stdout


def test_a_pool_with_a_wrong_authority_stores_nothing(system: Installation, tmp_path: Path) -> None:
    """Celery's own connection verifies the broker too."""
    other = Authority(tmp_path / "other", "other")
    environment: dict[str, Any] = {**system.environment("lake", "lake"), "SLUICE_TLS_CA": str(other.ca)}
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", "queue-data-lake", "-n", "x@%h"]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: "certificate verify failed" in (tmp_path / "log").read_text(), "the refusal")
        assert "ready" not in (tmp_path / "log").read_text()
    finally:
        stop_child(child, signal.SIGTERM, 5)


#: Elements that no row of a task's page has, however far the task is.
ACTIVE = {
    "script", "img", "svg", "animate", "body", "iframe", "object", "embed", "math", "mi", "form", "input",
    "select", "video", "source", "audio", "details", "marquee", "meta", "link", "style", "base", "template",
    "textarea", "title",
}  # fmt: skip


class Active(HTMLParser):
    """What a page has of elements that load or run something, and of attributes that do."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element if it does something."""
        self.found.update([tag] if tag in ACTIVE else [])
        self.found.update(name for name, _ in attrs if name.startswith("on"))
        self.found.update("javascript:" for _, value in attrs if (value or "").startswith("javascript:"))


@pytest.mark.timeout(300)
def test_flower_shows_foreign_words_as_text(system: Installation) -> None:
    """Forty scripts in the words of messages that somebody sent add no element and no attribute to a page."""
    wait_until(lambda: system.get("/api/workers?refresh=1")[0] == 200, "Flower")
    ids = {}
    with system.admin() as connection:
        producer = kombu.Producer(connection.channel())
        for words in ("harmless", *XSS):
            root = str(uuid.uuid4())
            ids[words] = stage_task_id(root, Stage.LAKE)
            task = {"task": "logs.batch", "id": root, "root_id": root, "lang": "py", "argsrepr": words}
            task |= {"origin": words, "kwargsrepr": words}
            producer.publish(
                ((None,), {}, {}), routing_key="queue-data-lake", headers=task, serializer="msgpack"
            )

    wait_until(lambda: set(ids.values()) <= set(json.loads(system.get("/api/tasks")[1])), "the tasks", 90)

    pages = {words: system.get(f"/task/{key}")[1] for words, key in ids.items()}
    harmless = Active(pages.pop("harmless")).found
    assert harmless["script"]
    assert {words for words, page in pages.items() if Active(page).found != harmless} == set()
    assert "alert(1)" in pages[XSS[0]]
