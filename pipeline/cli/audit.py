"""`audit`: completeness per source and stage, proved by the ledger; with --repair, made good."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Engine

from db.audit import AuditReport, Dead, SourceAudit, audit
from db.rebuild import held_pieces
from db.seals import close
from db.unbroken import ChainReport, Kept, verify
from pipeline.checkpoint import read_generations, read_offsets
from pipeline.cli import options, output
from pipeline.cli.chain import answer as chain_answer
from pipeline.cli.chain import kept_heads
from pipeline.cli.chain import show as show_chain
from pipeline.cli.main import FAILED, OK
from pipeline.cli.mender import words
from pipeline.cli.sources import open_database
from pipeline.depths import queue_depths
from pipeline.errors import ConfigurationError, PermanentError, PipelineError
from pipeline.generation import Generation
from pipeline.publish import Publisher
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.origin import Origin, OriginLost, dead_ranges
from tasks.repair import repair

#: Results of a comparison with the file; the second where a part of the lake was removed.
IDENTICAL = "identical"
IDENTICAL_REST = "identical where not removed"


@click.command("audit")
@click.option("--deep", is_flag=True, help="Also check every line, and compare with the files.")
@click.option("--repair", "mend", is_flag=True, help="Publish again what is missing.")
@click.option("--chain", is_flag=True, help="Also compare the lake's ledger with its seals.")
@click.option("--seal", is_flag=True, help="With --chain: first seal what is stored by now.")
@click.option(
    "--heads",
    metavar="FILE",
    help="With --chain: heads that were kept, as --json printed them, must be in it.",
)
@options.common
def command(deep: bool, mend: bool, chain: bool, seal: bool, heads: str | None, as_json: bool) -> int:  # noqa: PLR0917 - one for each option
    """Compare what each stage holds with what was confirmed: every byte, once.

    Missing bytes that wait in dead letters are told apart. Exit code 1 on a gap, a duplicate, a conflict or
    other bytes in the file. --repair publishes what is missing to the stage that misses it; the pools store
    it, and the next audit shows it.

    --chain compares what the lake stored with the seals that beat closes each day: a segment, a seal or, with
    --deep, a line that was altered since is named, with exit code 1. Removed rows stay in the chain by their
    segments. Keep what --chain --json prints on another machine: --heads compares with it.
    """
    if (seal or heads) and not chain:
        raise ConfigurationError("--seal and --heads are about the chain: add --chain")
    settings, kept = options.settings(), kept_heads(heads)
    with open_database(settings) as engine:
        # Before the look at the tables: what is stored meanwhile is then no dead letter.
        offsets, dead = read_offsets(settings.state_dir), _dead(settings)
        report = audit(engine, offsets, deep=deep, dead=dead)
        files = _compare_all(settings, engine, report) if deep else {}
        repaired = _repair(settings, engine) if mend and report.missing_bytes else None
        sealed = _chain(settings, engine, kept, seal=seal) if chain else None
    if as_json:
        # Unknown is not none.
        known = {} if dead is not None else {"dead_bytes": None}
        chained = {"chain": chain_answer(sealed)} if sealed else {}
        output.emit_json(_answer(report, files, repaired) | known | chained)
    else:
        _show(report, files, repaired)
        if sealed:
            show_chain(sealed, kept)
    differs = any("differs" in result for result in files.values())
    broken = sealed is not None and sealed.breaks
    return OK if report.complete and not differs and not broken else FAILED


def _chain(settings: Settings, engine: Engine, kept: Kept, *, seal: bool) -> ChainReport:
    if seal:
        close(engine, settings.seal_keys, datetime.now(UTC))
    return verify(engine, settings.seal_keys, kept)


def _dead(settings: Settings) -> Dead | None:
    """Return what waits in dead letters, None where the broker does not tell."""
    try:
        depths = queue_depths(settings)
        return {
            stage.value: dead_ranges(settings, stage) if depths[stage.queue_name].dead else {}
            for stage in Stage
        }
    except PipelineError as error:
        output.say(f"dead letters are not counted: {error}")
        return None


def _repair(settings: Settings, engine: Engine) -> str:
    with Publisher(settings) as publisher:
        return words(repair(settings, engine, publisher))


def _compare_all(settings: Settings, engine: Engine, report: AuditReport) -> dict[str, str]:
    """Return for each source, by key, how its rebuilt bytes compare with its file."""
    generations = read_generations(settings.state_dir)
    return {s.key: _compare(settings, engine, s, generations.get(s.key)) for s in report.sources}


def _compare(settings: Settings, engine: Engine, source: SourceAudit, generation: Generation | None) -> str:
    if source.id is None:
        return "nothing stored"
    lake = source.stages[Stage.LAKE]
    if any(high < source.end for _, high in lake.gaps):
        return "not compared: the lake misses lines"
    try:
        with Origin(settings, generation) as origin:
            for start, piece in held_pieces(engine, source.id, 0, source.end):
                if origin.read(len(piece), start) != piece:
                    return f"differs within bytes [{start}, {start + len(piece)})"
    except OriginLost as lost:
        return f"not compared: {lost}"
    except PermanentError:
        return "not compared: the lake misses lines"
    return IDENTICAL_REST if lake.removed else IDENTICAL


def _answer(report: AuditReport, files: Mapping[str, str], repaired: str | None) -> dict[str, Any]:
    return {
        "missing_bytes": report.missing_bytes,
        "dead_bytes": report.dead_bytes,
        "duplicate_lines": report.duplicate_lines,
        "conflicts": report.conflicts,
        "missing_lines": report.missing_lines,
        "damaged_segments": report.damaged_segments,
        "removed": {
            stage: {kind: asdict(sums) for kind, sums in report.removed(stage).items()} for stage in Stage
        },
        "sources": [asdict(source) | {"file": files.get(source.key)} for source in report.sources],
        "repair": repaired,
    }


def _show(report: AuditReport, files: Mapping[str, str], repaired: str | None) -> None:
    heads = (
        "id",
        "path",
        "bytes",
        *(f"{stage} missing" for stage in Stage),
        "duplicates",
        "conflicts",
        "file",
    )
    print(output.table(heads, [_row(source, files) for source in report.sources]))
    print()
    print(_verdict(report))
    for line in _removed(report):
        print(line)
    if repaired:
        print(f"repair: {output.escape(repaired)}")


def _row(source: SourceAudit, files: Mapping[str, str]) -> tuple[object, ...]:
    missing = (source.stages[stage].missing_bytes for stage in Stage)
    duplicates = sum(stage.duplicate_lines for stage in source.stages.values())
    return (source.id, source.path, source.end, *missing, duplicates, source.conflicts, files.get(source.key))


def _removed(report: AuditReport) -> Iterator[str]:
    for stage in Stage:
        for kind, sums in report.removed(stage).items():
            yield f"removed by {kind} from {stage}: {sums.lines} lines, {sums.bytes} bytes"


def _verdict(report: AuditReport) -> str:
    if report.complete:
        removed = any(report.removed(stage) for stage in Stage)
        rest = ", but for what was removed" if removed else ""
        return f"complete: {len(report.sources)} sources, every confirmed byte is in both stages, once{rest}"
    return (
        f"not complete: {report.missing_bytes} bytes missing ({report.dead_bytes} of them in dead letters), "
        f"{report.duplicate_lines} lines twice, "
        f"{report.missing_lines} rows gone, {report.damaged_segments} segments damaged, "
        f"{report.conflicts} conflicts"
    )
