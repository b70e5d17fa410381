"""What `audit --chain` shows: the hash chain over the lake, and the heads that a person keeps elsewhere."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from db.unbroken import ChainReport, Kept
from pipeline.cli import output
from pipeline.errors import ConfigurationError

#: Breaks that a person is shown; --json has all.
SHOWN_BREAKS = 20


def kept_heads(path: str | None) -> Kept:
    """Return the heads in a file that holds what `audit --chain --json` printed.

    Raises:
        ConfigurationError: the file cannot be read, or holds none.
    """
    if path is None:
        return {}
    try:
        lines = Path(path).read_text().splitlines()
        heads = json.loads(lines[-1])["chain"]["heads"]
        kept: dict[str, list[tuple[int, str]]] = {}
        for head in heads:
            kept.setdefault(str(head["key"]), []).append((int(head["end"]), str(head["hash"])))
    except OSError as error:
        raise ConfigurationError(f"--heads {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError):
        raise ConfigurationError(
            f"--heads {path}: its last line is not what `audit --chain --json` prints"
        ) from None
    return kept


def answer(report: ChainReport) -> dict[str, Any]:
    """Return a report as JSON."""
    return {
        "sealed_bytes": report.sealed_bytes,
        "breaks": [asdict(each) for each in report.breaks],
        "heads": [asdict(head) | {"sealed_at": head.sealed_at.isoformat()} for head in report.heads],
    }


def show(report: ChainReport, kept: Kept) -> None:
    """Print a report."""
    print()
    for each in report.breaks[:SHOWN_BREAKS]:
        place = f"bytes [{each.start}, {each.end}) of {each.path or each.key}"
        print(output.escape(f"chain broken: {place}: {each.what}"))
    if len(report.breaks) > SHOWN_BREAKS:
        print(f"and {len(report.breaks) - SHOWN_BREAKS} more: see --json")
    if not report.breaks:
        print(f"chain unbroken: {report.sealed_bytes} bytes of {len(report.heads)} sources are as sealed")
        print(_trust(report, kept))


def _trust(report: ChainReport, kept: Kept) -> str:
    if kept:
        return f"and {sum(map(len, kept.values()))} heads that were kept elsewhere are in it"
    if report.heads and all(head.is_signed for head in report.heads):
        return "and signed; keep the heads of --json elsewhere too, to notice seals that were taken away"
    return (
        "keep the heads of --json elsewhere, and give them to --heads: who rewrote all of it is noticed then"
    )
