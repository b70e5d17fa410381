"""The commands as a whole: help, errors and exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline import scanner
from pipeline.cli.main import COMMANDS, FAILED, OK, USAGE, cli, main


@pytest.fixture(autouse=True)
def _state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))


def command_lines() -> Iterator[list[str]]:
    """Yield each command, and each one below a command that holds several."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        below = list(command.commands) if isinstance(command, click.Group) else []
        yield from ([name, sub] for sub in below) if below else ([name],)


@pytest.mark.parametrize("command", list(command_lines()), ids=" ".join)
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command ends well and names `--json`."""
    assert main([*command, "--help"]) == OK
    assert "--json" in capsys.readouterr().out


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The bare program lists every command with what it does."""
    assert main([]) == OK

    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SLUICE_BATCH_COUNT", "many"),
        ("BROKER_URL", "redis://localhost"),
        ("DATABASE_URL", "mysql://user:hidden@localhost/x"),
        ("SLUICE_LOG_LEVEL", "LOUD"),
    ],
)
@pytest.mark.parametrize("command", [["run", "x"], ["watch", "x"], ["status"], ["audit"], ["migrate"]])
def test_a_wrong_setting_is_named(
    command: list[str],
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command names the variable to change, with code 2, without a traceback and without its secret."""
    monkeypatch.setenv(variable, value)

    assert main(command) == USAGE

    complaint = capsys.readouterr().err
    assert complaint.startswith(f"error: {variable}")
    assert "Traceback" not in complaint
    assert "hidden" not in complaint


def test_an_error_is_a_json_object_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--json` the last line of stdout holds the error."""
    monkeypatch.setenv("SLUICE_BATCH_COUNT", "0")

    assert main(["status", "--json"]) == USAGE

    assert "SLUICE_BATCH_COUNT" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_misspelt_option_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error points to the help of its command, with code 2."""
    assert main(["audit", "--dep"]) == USAGE
    assert "python -m pipeline audit --help" in capsys.readouterr().err


def test_a_group_without_its_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`dead` alone explains what it holds, as a usage error and not as a broken sentence."""
    assert main(["dead"]) == USAGE

    printed = capsys.readouterr().err
    assert printed.startswith("Usage: python -m pipeline dead")
    assert "Commands:" in printed


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that does not exist is named, with code 2."""
    assert main(["frobnicate"]) == USAGE
    assert "frobnicate" in capsys.readouterr().err


def test_no_path_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`run` without a path says where one can come from."""
    assert main(["run"]) == USAGE
    assert "SLUICE_PATHS" in capsys.readouterr().err


def test_a_database_that_is_behind_says_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first migration `audit` names the command to run."""
    assert main(["audit"]) == USAGE
    assert "python -m pipeline migrate" in capsys.readouterr().err


def test_check_names_what_to_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each check has a line of its own; one that fails makes the code 1 and says what to change."""
    monkeypatch.setenv("SLUICE_LOG_FORMAT", "nonesuch")

    assert main(["check", "--json", str(tmp_path / "absent.log")]) == FAILED

    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    failed = {check["name"]: check["message"] for check in answer["checks"] if not check["ok"]}
    assert not answer["ok"]
    assert set(failed) == {"format", "path"}
    assert "SLUICE_LOG_FORMAT" in failed["format"]
    assert "absent.log" in failed["path"]


def test_check_is_content_with_nothing_configured(capsys: pytest.CaptureFixture[str]) -> None:
    """The embedded mode passes every check before its first run, and after the migration."""
    assert main(["check"]) == OK
    assert main(["migrate"]) == OK
    assert main(["check"]) == OK
    assert "the schema is up to date" in capsys.readouterr().out


@pytest.mark.parametrize(("library", "said"), [(object(), "compiled"), (None, "apt install gcc")])
def test_check_tells_how_lines_are_parsed(
    library: object, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the compiled loops everything works; what makes it faster is said."""
    monkeypatch.setattr(scanner, "library", lambda: library)

    assert main(["check", "--json"]) == OK

    found = json.loads(capsys.readouterr().out.splitlines()[-1])["checks"]
    assert said in next(check["message"] for check in found if check["name"] == "inner loops")


def test_generate_writes_the_lines_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`generate` reports the lines and bytes of the file that it wrote."""
    path = tmp_path / "sample.log"

    assert main(["generate", str(path), "--lines", "30", "--format", "proxy", "--json"]) == OK

    answer = json.loads(capsys.readouterr().out)
    assert (answer["lines"], answer["bytes"]) == (30, path.stat().st_size)
    assert path.read_bytes().count(b"\n") == 30


def test_generate_names_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be written is the user's to change."""
    assert main(["generate", str(tmp_path / "none" / "sample.log")]) == USAGE
    assert "No such file or directory" in capsys.readouterr().err


def test_a_server_that_is_away_is_named_and_the_rest_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status` shows what it can, names what does not answer, and ends with code 1."""
    monkeypatch.setenv("BROKER_URL", "amqp://user:hidden@127.0.0.1:1//")
    assert main(["migrate"]) == OK

    assert main(["status", "--json"]) == FAILED

    printed = capsys.readouterr()
    answer = json.loads(printed.out.splitlines()[-1])
    assert answer["sources"] == []
    assert "BROKER_URL" in answer["problems"][0]
    assert "hidden" not in printed.out + printed.err
