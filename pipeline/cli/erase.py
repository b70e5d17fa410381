"""`erase`: one person's lines out of every table and the dead letters, with a receipt."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from db.erasure_search import Search
from pipeline.cli import options, output
from pipeline.cli.erasing import Eraser
from pipeline.cli.main import FAILED, OK
from pipeline.cli.sources import find_source, open_database
from pipeline.cli.stream import STDIN
from pipeline.errors import ConfigurationError
from pipeline.logs import json_line
from pipeline.settings import Settings
from pipeline.subject import Kind, Subject, subject

_MEANINGS = {
    Kind.USER: "A user's name, as a whole word. - takes it from stdin: no list of processes has it then.",
    Kind.IP: "An IPv4 or IPv6 address, however it is written.",
    Kind.SESSION: "A session, as a whole word.",
    Kind.EMAIL: "An e-mail address, upper or lower case.",
    Kind.TEXT: "Any text, wherever it stands in a line.",
}
_FILE = click.Path(path_type=Path)


def _kinds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each kind of value, and one for a file that holds it."""
    for kind in reversed(Kind):
        given = click.option(f"--{kind}", metavar="VALUE", help=_MEANINGS[kind])
        in_file = click.option(f"--{kind}-file", type=_FILE, metavar="FILE", help="The same, read from FILE.")
        function = given(in_file(function))
    return function


@click.command("erase")
@_kinds
@click.option(
    "--source", metavar="SOURCE", help="Only of this one: an id or path. Dead letters of all are looked at."
)
@click.option(
    "--fields-only", is_flag=True, help="Of lines that were parsed, only those whose own field it is."
)
@click.option("--dry-run", is_flag=True, help="Count what would be erased, and change nothing.")
@click.option(
    "--backups",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Name the backups in it that hold these lines.",
)
@click.option("--receipt", "target", type=_FILE, metavar="FILE", help="Write it there, mode 0600.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    source: str | None,
    fields_only: bool,
    dry_run: bool,
    folder: Path | None,
    target: Path | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Erase one data subject: every line that holds the value, in every table, and in the dead letters.

    What the ledger has of these lines stays, so that the audit is true and nothing brings them back: no
    redelivery, no repair, no replay. The log files themselves, messages that are being delivered and backups
    are told in the receipt. A second call finds nothing. It ends with code 1 while something is left.
    """
    settings = options.settings()
    who = _subject(settings, values)
    if dry_run and target:
        raise ConfigurationError("--receipt: a dry run erases nothing, so it has no receipt")
    with ExitStack() as stack:
        write = stack.enter_context(_receipt_file(target)) if target else None
        engine = stack.enter_context(open_database(settings))
        chosen = find_source(engine, source).id if source else None
        eraser = Eraser(settings, engine, Search(who, chosen, fields_only), folder)
        found = eraser.look() if dry_run else eraser.erase()
        if write:
            write(found)
    _show(found, as_json=as_json)
    return FAILED if found["left"] or not (dry_run or found["done"]) else OK


def _subject(settings: Settings, values: Mapping[str, Any]) -> Subject:
    given = [(kind, values[kind], values[f"{kind}_file"]) for kind in Kind]
    chosen = [(kind, value, path) for kind, value, path in given if value is not None or path is not None]
    if len(chosen) != 1 or None not in chosen[0]:
        raise ConfigurationError(f"name one value: --{', --'.join(Kind)}, or a file of one (--user-file)")
    kind, value, path = chosen[0]
    try:
        text = path.read_text(errors="surrogateescape") if path else value
    except OSError as error:
        raise ConfigurationError(f"--{kind}-file: {path}: {error.strerror}") from error
    text = sys.stdin.read() if value == STDIN else text
    return subject(kind, text, settings.privacy_key.get_secret_value().encode())


@contextmanager
def _receipt_file(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield what writes a receipt to a new file; opened first, so that nothing is erased without one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"--receipt: {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        try:
            yield lambda found: print(json_line(found), file=file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        file.flush()
        os.fsync(file.fileno())


def _show(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.emit_json(found)
        return
    verb = "would be erased" if found["dry_run"] else "erased"
    print(output.table(("where", verb), found["rows"].items()))
    print(f"\nfound by their field: {found['by_field']}, by their text: {found['by_text']}")
    for advice in found.get("advice", ()):
        print(f"- {output.escape(advice)}")
    if not found["dry_run"]:
        print(f"receipt {found['id']}: {'done' if found['done'] else 'NOT done, see above'}")
