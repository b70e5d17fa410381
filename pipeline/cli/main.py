"""Puts the commands together, and turns every error into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from pipeline.cli import output
from pipeline.errors import ConfigurationError, PipelineError

#: Command → what it does in a line; each lives in the module of its name, so that `watch` never loads a
#: database driver and `--help` loads nothing at all.
COMMANDS = {
    "run": "Stream files through watcher, both queues and both pools.",
    "watch": "Run the watcher alone, in the foreground.",
    "status": "Show sources, offsets, lag and queue depths.",
    "audit": "Prove that both stages hold every confirmed byte once.",
    "dead": "List, show, replay or purge dead letters.",
    "rejected": "Show the lines that do not parse, grouped by their reasons.",
    "conflicts": "List, show or resolve ranges with two contents.",
    "drift": "Show where what a source's lines are like has changed.",
    "findings": "Show attacks, errors and slowness that the detections noticed.",
    "ask": "Answer questions about traffic, errors, latency and visitors.",
    "access": "Show who accessed what and when.",
    "web": "Show flow, traffic and changes on a page that only reads.",
    "report": "Write a report of a period as HTML, Markdown or JSON.",
    "retention": "Remove rows that are older than they are to be kept.",
    "erase": "Erase one person's lines everywhere, with a receipt.",
    "compliance": "List what was removed by age and by erasures.",
    "alerts": "Show the outbox of alerts, silence some, or send a test.",
    "backup": "Write lake, clean, ledger and checkpoint to one file.",
    "restore": "Fill a database from a backup, or take a part of one.",
    "replay": "Parse again what the lake holds, after a format changed.",
    "export": "Write clean records or lake lines as CSV, JSON lines or Parquet.",
    "rebuild": "Write a source's bytes from the lake.",
    "generate": "Write a sample log.",
    "formats": "Show the log formats, or try one on a file; nothing is stored.",
    "check": "Test the configuration and every connection.",
    "metrics": "Serve what database and broker know to Prometheus.",
    "provision": "Write users, roles and permissions for RabbitMQ and PostgreSQL.",
    "migrate": "Bring the database schema up to date.",
    "bench": "Measure this machine: the pipeline beside the database's own loader.",
}
#: Exit codes: all is well; not all is well; the user must change something; ended by Ctrl-C (128 + SIGINT).
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"pipeline.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("sluice", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Stream log files into a lake and a clean table, and prove that nothing is missing or doubled."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 all is well, 1 not, 2 usage or configuration."""
    try:
        code = cli.main(list(arguments) or ["--help"], prog_name="python -m pipeline", standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted", INTERRUPTED, arguments)
    except click.exceptions.NoArgsIsHelpError as error:  # a group without its command: its help, not an error
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _fail(_with_hint(error), error.exit_code, arguments)
    except PipelineError as error:
        if "--debug" in arguments:
            raise
        code = _fail(str(error), USAGE if isinstance(error, ConfigurationError) else FAILED, arguments)
    except BrokenPipeError:
        # The reader of our output has gone (`status | head`): nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    return code if isinstance(code, int) else OK


def _with_hint(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context else message


def _fail(message: str, code: int, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        output.emit_json({"error": message})
    output.complain(message)
    return code
