"""The houses and doors of docs/architecture.md, and the size of what stands in them, read from the source."""

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = ("pipeline", "tasks", "db", "bench")
MODULE_LINES, FUNCTION_LINES, MEDIAN_LINES = 300, 50, 7
#: Words that name nothing; `process`, `data` and `info` are fine inside longer, honest names only.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "handler", "process", "data", "info", "misc"}


class Door(NamedTuple):
    """Where modules may not look: those under `inside`, but for `exempt`, import nothing of `forbidden`."""

    inside: str
    forbidden: tuple[str, ...]
    exempt: tuple[str, ...] = ()


DOORS = (
    Door(
        "pipeline",
        ("tasks", "db", "celery", "flower", "sqlalchemy", "alembic", "psycopg2", "sqlite3", "bench"),
        ("pipeline.cli",),
    ),
    Door("pipeline", ("pipeline.cli",), ("pipeline.cli", "pipeline.__main__")),
    Door("pipeline.cli", ("celery", "flower", "tasks.celery", "tasks.lake", "tasks.clean", "tasks.delivery")),
    Door(
        "pipeline.formats",
        ("kombu", "watchdog", "zstandard", "pydantic", "pipeline.settings", "pipeline.batch"),
    ),
    Door("pipeline.enrich", ("kombu", "watchdog", "pydantic", "pipeline.settings", "pipeline.batch")),
    Door("pipeline.formats", ("pipeline.enrich",)),
    Door(
        "pipeline.detect",
        ("kombu", "watchdog", "zstandard", "pydantic", "pipeline.settings", "pipeline.batch"),
    ),
    Door(
        "pipeline.drift",
        ("kombu", "watchdog", "zstandard", "pydantic", "pipeline.settings", "pipeline.batch"),
    ),
    Door("pipeline.report", ("tornado", "click")),
    Door("pipeline.web", ("kombu", "pipeline.settings", "click")),
    Door(
        "db", ("tasks", "celery", "kombu", "watchdog", "flower", "pipeline.cli", "pipeline.publish", "bench")
    ),
    Door("tasks", ("pipeline.cli", "watchdog", "psycopg2", "sqlite3", "bench")),
)


@cache
def modules() -> dict[str, Path]:
    """Return every module of the houses by its dotted name; a package goes by the name of its folder."""
    paths = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


@cache
def tree(name: str) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(modules()[name].read_text())


def imported(name: str, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yield the dotted names that import statements among the nodes bring into a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = origin(name, node)
            members = {f"{base}.{alias.name}" for alias in node.names}
            yield from members
            if not members <= modules().keys():
                yield base


def origin(name: str, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that a `from` statement names."""
    if not node.level:
        return node.module or ""
    is_package = modules()[name].name == "__init__.py"
    parents = name.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
    return ".".join([*parents, *filter(None, [node.module])])


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported: not the bodies of functions, nor what only types need."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from at_import(child)


def under(name: str, folder: str) -> bool:
    """Tell whether a module is the named one or lies in it."""
    return f"{name}.".startswith(f"{folder}.")


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every function of the houses with the name of its module."""
    for name in modules():
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    documented = ast.get_docstring(function, clean=False)
    whole = (function.end_lineno or 0) - function.lineno + 1
    return whole - (documented.count("\n") + 1 if documented is not None else 0)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.inside} without {door.forbidden[0]}")
def test_no_module_looks_through_a_closed_door(door: Door) -> None:
    """Each house imports only what the table of the architecture allows it, in functions too."""
    trespasses = {
        f"{name} imports {target}"
        for name in modules()
        if under(name, door.inside) and not any(under(name, exempt) for exempt in door.exempt)
        for target in imported(name, ast.walk(tree(name)))
        if any(under(target, forbidden) for forbidden in door.forbidden)
    }

    assert not trespasses


def test_tables_know_values_only() -> None:
    """Of the pipeline, `db` sees values only: batch, detections, drift, formats and the like."""
    values = tuple(
        f"pipeline.{name}"
        for name in (
            "batch",
            "detect",
            "drift",
            "enrich",
            "errors",
            "export",
            "failpoint",
            "formats",
            "report.figures",
            "scanner",
            "subject",
        )
    )
    seen = {
        f"{name} imports {target}"
        for name in modules()
        if under(name, "db")
        for target in imported(name, ast.walk(tree(name)))
        if under(target, "pipeline") and not any(under(target, value) for value in values)
    }

    assert not seen


def test_no_cycles() -> None:
    """Modules import each other in one direction: any of them can be read, and imported, first."""
    graph = {
        name: {target for target in imported(name, at_import(tree(name))) if target in modules()} - {name}
        for name in modules()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_no_module_is_too_long() -> None:
    """A module fits in one reading."""
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}

    assert not {name: lines for name, lines in lengths.items() if lines > MODULE_LINES}


def test_no_function_is_too_long() -> None:
    """A function fits on one screen."""
    lengths = {
        f"{name}.{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for name, function in functions()
    }

    assert not {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}


def test_most_functions_are_short() -> None:
    """Half of all functions have at most seven lines beside their docstring."""
    assert statistics.median(body_lines(function) for _, function in functions()) <= MEDIAN_LINES


def test_every_module_says_its_job() -> None:
    """A module opens with a docstring, unless it is empty."""
    assert not [name for name in modules() if tree(name).body and not ast.get_docstring(tree(name))]


def test_names_say_something() -> None:
    """No module, class or function bears a name that would fit any other."""
    named = [(name, name.rpartition(".")[2]) for name in modules()]
    named += [
        (name, node.name)
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert not [f"{place}: {word}" for place, word in named if word.lower().strip("_") in EMPTY_NAMES]


def test_the_rules_see_an_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every way to write an import, in a function too, is found under its absolute name."""
    source = (
        "import a.b\nfrom c import d\nfrom . import e\nfrom .f import g\ndef h():\n    from ..i import j\n"
    )
    (tmp_path / "m.py").write_text(source)
    monkeypatch.setitem(modules(), "p.q.m", tmp_path / "m.py")

    assert {"a.b", "c", "c.d", "p.q", "p.q.e", "p.q.f", "p.q.f.g", "p.i", "p.i.j"} == set(
        imported("p.q.m", ast.walk(tree("p.q.m")))
    )
    assert "p.i" not in set(imported("p.q.m", at_import(tree("p.q.m"))))
