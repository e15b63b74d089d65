"""The shape of the code, read from its syntax trees: what docs/architecture.md promises."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "aexp"

# A module imports from its own layer and from those below it, never upwards or sideways.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"mcp"},
    {"agents", "doctor", "reproduction", "sharing"},
    {"validation"},
    {"install", "workflow"},
    {"queue"},
    {"execution", "handle"},
    {"trackers"},
    {"environment"},
    {"runs"},
    {"ledger"},
    {"kb"},
    {"git", "processes", "slurm"},
    {"paths"},
    {"files"},
    {"model"},
    {"numbers"},
    {"errors"},
    {"version"},
)
DEPTH = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
MAX_LINES = 400
# Who may import what is not of the standard library, and whether when it is loaded itself.
THIRD_PARTY = {
    "signac": {"runs"},
    "yaml": {"kb", "queue"},
    "click": {"cli"},
    "scipy": {"validation"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
    "anyio": {"mcp"},
    "pydantic": {"mcp"},
    "wandb": {"trackers"},
    "mlflow": {"trackers"},
    "pynvml": {"environment"},
}
# aexp.mcp itself is imported by the verb that starts the server, and by nothing else.
AT_TOP_LEVEL = {"click", "mcp", "mcp_types", "anyio", "pydantic"}


class Import(NamedTuple):
    """One import statement of the package."""

    module: str
    target: str
    line: int
    is_lazy: bool
    is_for_types: bool

    @property
    def where(self) -> str:
        return f"{self.module}, line {self.line}: imports {self.target}"


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(module: str, path: Path) -> Iterator[Import]:
    """Return the imports of a module, with the names that ``from aexp import`` takes."""
    tree = ast.parse(path.read_text())

    def walk(node: ast.AST, lazy: bool, types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for target in targets(child):
                    yield Import(module, target, child.lineno, lazy, types)
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from walk(child, lazy or is_function, types or for_types)

    return walk(tree, False, False)


def targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, f"line {node.lineno}: relative import"
    assert node.module is not None
    own = {name.rpartition(".")[2] for name in modules() if name.count(".") == 1}
    if node.module == "aexp":
        return [f"aexp.{alias.name}" for alias in node.names if alias.name in own]
    return [node.module]


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else "aexp"


EVERY = [item for name, path in modules().items() for item in imports(name, path)]


def test_every_module_has_a_layer() -> None:
    assert {layer(name) for name in modules()} - {"aexp"} == set(DEPTH)


def test_imports_go_down_only() -> None:
    wrong = []
    for item in EVERY:
        if not item.target.startswith("aexp.") or item.module == "aexp":
            continue
        above, below = layer(item.module), layer(item.target)
        if above != below and DEPTH[below] <= DEPTH[above]:
            wrong.append(item.where)
    assert wrong == []


def test_the_package_itself_imports_its_version_only() -> None:
    own = [item for item in EVERY if item.module == "aexp"]
    loaded = [item.target for item in own if not item.is_lazy and not item.is_for_types]
    assert loaded == ["aexp.version"]


def test_third_party_packages_are_imported_where_they_belong() -> None:
    wrong = []
    for item in EVERY:
        package = item.target.split(".")[0]
        if package in sys.stdlib_module_names or package == "aexp":
            continue
        if layer(item.module) not in THIRD_PARTY.get(package, set()):
            wrong.append(f"{item.where}: it does not belong there")
        if not (item.is_lazy or item.is_for_types or package in AT_TOP_LEVEL):
            wrong.append(f"{item.where} when it is loaded")
    # The type of a return value may be named anywhere; nothing is imported by that.
    excused = [line for line in wrong if is_for_types_only(line)]
    assert sorted(set(wrong) - set(excused)) == []


def is_for_types_only(line: str) -> bool:
    return any(item.is_for_types and line.startswith(item.where) for item in EVERY)


@pytest.mark.parametrize("module", sorted(modules()))
def test_modules_are_of_a_size_to_be_read(module: str) -> None:
    lines = modules()[module].read_text().count("\n")
    assert lines <= MAX_LINES, f"{module} has {lines} lines"


def test_there_are_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for item in EVERY:
        if item.target in graph and not item.is_for_types and not item.is_lazy:
            graph[item.module].add(item.target)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


LOADED = """
import sys
before = set(sys.modules)
{statement}
import importlib.util, sysconfig
for name in sorted({{n.split(".")[0] for n in set(sys.modules) - before}}):
    if name not in sys.stdlib_module_names and name != "aexp":
        print(name)
"""


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import aexp", ""),
        ("import aexp.workflow", ""),
        ("import aexp.execution.run", ""),
        ("import aexp.runs.reconcile, aexp.queue.plan, aexp.queue.pending", ""),
        ("import aexp.cli", ""),
        ("import aexp.cli.commands", "click"),
    ],
)
def test_what_an_import_loads(statement: str, allowed: str) -> None:
    code = LOADED.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= set(allowed.split())


def test_git_is_called_in_one_place() -> None:
    callers = [name for name, path in modules().items() if '["git", ' in path.read_text()]
    assert callers == ["aexp.git"]


def test_every_public_name_can_be_imported() -> None:
    import aexp

    for name in aexp.__all__:
        assert getattr(aexp, name) is not None


def test_the_page_lists_the_layers_and_the_folders() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for name in DEPTH:
        assert f"`{name}" in page or f"{name}/" in page or f"{name}.py" in page, name
