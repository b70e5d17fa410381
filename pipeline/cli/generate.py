"""`generate`: a sample log."""

from pathlib import Path

import click

from pipeline import generate
from pipeline.cli import options, output
from pipeline.errors import ConfigurationError


@click.command("generate")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--lines", type=click.IntRange(min=0), default=10_000, show_default=True, help="Lines to write."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same lines.")
@click.option("--format", "name", default="combined", show_default=True, help="combined, common or proxy.")
@click.option("--broken", type=click.FloatRange(0, 1), default=0.0, help="Share of hostile lines.")
@options.common
def command(  # noqa: PLR0917 - one for each option
    path: Path, lines: int, seed: int, name: str, broken: float, as_json: bool
) -> None:
    """Write a realistic sample log to FILE."""
    try:
        written = generate.write_file(path, lines, seed=seed, format=name, broken=broken)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if as_json:
        output.emit_json({"path": str(path), "lines": lines, "bytes": written, "format": name, "seed": seed})
    else:
        print(output.escape(f"{path}: {lines} lines, {output.size(written)}"))
