"""The command `formats from-config`: formats in the files of servers, and the format files it prints."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.formats.apache import from_apache
from pipeline.formats.nginx import from_nginx
from pipeline.formats.userfile import load
from tests.unit.formats.lines import COMBINED_LINE, record

NGINX_CONF = r"""
user nginx;  # log_format comment '$time_local';
http {
    include /etc/nginx/mime.types;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" '
                    "\"$http_user_agent\" ${request_time}s";
    log_format "its own" "$time_local it's; $status";
    log_format lines escape=json '{"time":"$time_iso8601",' '"status":$status}';
    access_log /var/log/nginx/main.log main buffer=32k;
    server {
        access_log /var/log/nginx/a.log;
        location / { access_log off; return 200 "log_format { ; }"; }
        location /x { access_log /var/log/nginx/j.log lines if=$x; }
    }
}
"""
HTTPD_CONF = r"""
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
LogFormat "%h %t \
%>s" short
LogFormat "{ \"time\": \"%t\" }" json
# LogFormat "%t" commented
CustomLog ${APACHE_LOG_DIR}/access.log short env=!dontlog
<VirtualHost *:80>
    customlog "|/usr/bin/rotatelogs /var/log/size.log 86400" "%h %t %B"
    CustomLog /var/log/vhost.log vhost_combined
</VirtualHost>
IncludeOptional conf-enabled/*.conf
"""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Path of a configuration that a test writes."""
    return tmp_path / "server.conf"


def answer(capsys: pytest.CaptureFixture[str], config: Path, *more: str, code: int = OK) -> dict[str, Any]:
    """Return the JSON object of the command."""
    assert main(["formats", "from-config", str(config), *more, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_formats_of_nginx_are_found(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log_format over lines and quotes is found with the logs that use it; comments and texts are not."""
    config.write_text(NGINX_CONF)

    found = answer(capsys, config)

    assert found["server"] == "nginx"
    assert [(each["name"], each["json"], each["logs"]) for each in found["formats"]] == [
        ("main", False, ["/var/log/nginx/main.log"]),
        ("its_own", False, []),
        ("lines", True, ["/var/log/nginx/j.log"]),
    ]
    assert found["logs"] == [{"format": "combined", "path": "/var/log/nginx/a.log"}]
    assert found["includes"] == ["/etc/nginx/mime.types"]


def test_the_printed_file_makes_the_format(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed for a name is TOML whose string reads the server's lines."""
    config.write_text(NGINX_CONF)

    assert main(["formats", "from-config", str(config), "--name", "main"]) == OK
    file = tomllib.loads(capsys.readouterr().out)
    columns = record(from_nginx(file["name"], file["nginx"]), COMBINED_LINE + b" 0.250s")

    assert (file["name"], file["version"]) == ("main", 1)
    assert (columns["duration_seconds"], columns["user_agent"]) == (0.25, "Mozilla/5.0 (X11)")
    quoted = answer(capsys, config, "--name", "its_own")["formats"][0]["file"]
    assert tomllib.loads(quoted)["nginx"] == "$time_local it's; $status"


def test_the_printed_file_can_be_saved_and_used(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed, saved in the folder of formats, is a format of the user's as it is."""
    for text, name in (
        (NGINX_CONF, "main"),
        (NGINX_CONF, "its_own"),
        (HTTPD_CONF, "combined"),
        (HTTPD_CONF, "size"),
    ):
        config.write_text(text)
        assert main(["formats", "from-config", str(config), "--name", name]) == OK
        path = tmp_path / f"{name}.toml"
        path.write_text(capsys.readouterr().out)

        user = load(path)

        assert user.format.match(user.format.example)
        assert user.format.name in (name, f"apache_{name}")


def test_formats_of_apache_are_found(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LogFormat and CustomLog are read, continued lines and inline formats too; a taken name is set apart."""
    config.write_text(HTTPD_CONF)

    found = answer(capsys, config)
    formats = {each["name"]: each for each in found["formats"]}

    assert list(formats) == ["combined", "short", "json", "size"]
    assert formats["short"]["logs"] == ["${APACHE_LOG_DIR}/access.log"]
    assert formats["json"]["json"]
    assert found["logs"] == [{"format": "vhost_combined", "path": "/var/log/vhost.log"}]
    file = tomllib.loads(formats["combined"]["file"])
    assert file["name"] == "apache_combined"
    assert record(from_apache("mine", file["apache"]), COMBINED_LINE)["status"] == 200


def test_all_of_it_is_printed_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name a table comes first, then each format file; what is JSON needs none."""
    config.write_text(NGINX_CONF)

    assert main(["formats", "from-config", str(config)]) == OK
    printed = capsys.readouterr().out

    assert "not read: /etc/nginx/mime.types" in printed
    assert "lines writes JSON" in printed
    assert "name = 'main'" in printed
    assert "built in" in printed


def test_a_format_that_cannot_be_read_back_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An ambiguous format is named with its reason and makes the code 1; the others are printed."""
    config.write_text("log_format bad '$a$b $time_local'; log_format good '$time_local';")

    found = answer(capsys, config, code=FAILED)

    assert "next to each other" in found["formats"][0]["problem"]
    assert found["formats"][1]["problem"] is None
    assert main(["formats", "from-config", str(config)]) == FAILED
    assert "# format bad: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is it nginx.conf or httpd.conf"),
        (b"include conf.d/*.conf;", "give one of those"),
        (b"\xff\0" * 99, "is it nginx.conf"),
        (b'log_format "', "is it nginx.conf"),
        (b"log_format main '$time_local';", "no format 'other'"),
    ],
)
def test_what_holds_no_format_is_named(
    content: bytes, complaint: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without formats, or without the one asked for, ends with code 2 and advice."""
    config.write_bytes(content)

    assert complaint in answer(capsys, config, "--name", "other", code=USAGE)["error"]


def test_a_hostile_configuration_comes_out_inert(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal could obey is escaped in the table and in the file, which still is TOML."""
    config.write_text(
        "log_format m\x1b[2J '\x1b]0;x\x07$time_local \x7f\u202e';\naccess_log /a\x1b[2J m\x1b[2J;"
    )

    assert main(["formats", "from-config", str(config)]) == OK
    printed = capsys.readouterr().out

    assert all(line.isprintable() for line in printed.split("\n"))
    file = answer(capsys, config)["formats"][0]["file"]
    assert tomllib.loads(file)["nginx"] == "\x1b]0;x\x07$time_local \x7f\u202e"
    assert "No such file" in answer(capsys, config.with_name("none"), code=USAGE)["error"]
