"""`rebuild`: a source's bytes from the lake."""

import click

from db.rebuild import rebuild
from pipeline.cli import options, output
from pipeline.cli.sources import find_source, open_database
from pipeline.errors import ConfigurationError
from pipeline.target import STDOUT, opened


@click.command("rebuild")
@click.argument("source", metavar="SOURCE")
@click.option("--output", "target", required=True, metavar="FILE", help="Where to write; - is stdout.")
@click.option(
    "--blank-removed", "blank", is_flag=True, help="Write blanks for what retention or erasure removed."
)
@options.common
def command(source: str, target: str, blank: bool, as_json: bool) -> None:
    """Write the bytes of SOURCE from the lake to a file, identical to what was read.

    SOURCE is an id of `status`, or a path where that names one source. The file appears only when it is
    whole; where the lake has a gap there is an error, and no file. So it is where a part was removed by
    retention or erasure; with --blank-removed such a part is one line of blanks, as long as what was there.
    """
    if target == STDOUT and as_json:
        raise ConfigurationError("--json needs a file to write to: with --output - stdout holds the bytes")
    with open_database(options.settings()) as engine:
        row = find_source(engine, source)
        with opened(target) as file:
            written = sum(file.write(piece) for piece in rebuild(engine, row.id, blank=blank))
    if as_json:
        output.emit_json({"source": row.id, "path": row.path, "output": target, "bytes": written})
    elif target != STDOUT:
        print(output.escape(f"{target}: {written} bytes of {row.path}"))
