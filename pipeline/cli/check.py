"""`check`: is the configuration right, and does everything answer? Or, of one process: does it live?"""

from dataclasses import asdict

import click

from pipeline.cli import alive, options, output
from pipeline.cli.main import FAILED, OK


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH…]")
@click.option(
    "--live",
    "role",
    type=click.Choice(alive.ROLES),
    help="Ask one process at SLUICE_METRICS_ADDRESS whether it lives; quick, for containers.",
)
@options.common
def command(paths: tuple[str, ...], role: str | None, as_json: bool) -> int:
    """Check settings, state folder, format, broker, database and schema, and that each PATH can be read."""
    return _check(paths, as_json=as_json) if role is None else _ask(role, as_json=as_json)


def _ask(role: str, *, as_json: bool) -> int:
    problem = alive.problem(options.settings(), role)
    if as_json:
        output.emit_json({"ok": problem is None, "problem": problem})
    elif problem is None:
        print(f"{role}: alive")
    if problem is not None:
        output.complain(problem)
    return FAILED if problem else OK


def _check(paths: tuple[str, ...], *, as_json: bool) -> int:
    # Database drivers and all: too slow to load for a question that a container asks four times a minute.
    from pipeline.cli.checks import checks  # noqa: PLC0415

    found = checks(paths)
    well = all(check.ok for check in found)
    if as_json:
        output.emit_json({"ok": well, "checks": [asdict(check) for check in found]})
    else:
        rows = [(each.name, "ok" if each.ok else "failed", each.message) for each in found]
        print(output.table(("check", "result", "found, or what to change"), rows))
    return OK if well else FAILED
