"""What may import what, and what stands nowhere: read from the sources, without importing them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LAYERS = ["models", "stream", "offline"]  # each may import itself and those before it
BARE = tuple(f"{layer}." for layer in LAYERS)  # ours are imported as they are installed: segue.*
CLIENTS = "stream/kafka/clients.py"  # may import Faust inside a function only
FAUST = {
    CLIENTS,
    "stream/consumer/app.py",
    "stream/consumer/runner.py",
    "stream/refresh/agent.py",
    "stream/worker/agent.py",
    "stream/worker/main.py",
    "offline/benchmarks/workers.py",
}
ENVIRONMENT = {"stream/config/settings.py"}
ENVIRONMENT_NAMES = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
NOT_IN_MODELS = {
    *("time", "datetime", "random", "secrets", "socket", "subprocess"),
    *("kafka", "aiokafka", "faust", "lmdb", "pydantic_settings", "prometheus_client"),
}
UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SAFE_ARGUMENTS = {"allow_pickle": False, "weights_only": True}


@dataclass(frozen=True)
class Import:
    """One imported module: where, whether only inside a function, whether only for types."""

    module: str
    line: int
    lazy: bool
    for_types: bool


@dataclass(frozen=True)
class Module:
    """A parsed source file. imports: `from a import b` counts as `a.b`, a module or a name."""

    path: str
    docstring: str
    imports: tuple[Import, ...]
    attributes: tuple[ast.Attribute, ...]
    calls: tuple[ast.Call, ...]

    @property
    def name(self) -> str:
        return "segue." + self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """The package the file lies in, two levels deep, or the file itself beside packages."""
        return "/".join(self.path.removesuffix(".py").split("/")[:2])


def _name(node: ast.expr) -> str:
    """Return a plain or dotted name as it is written; nothing for another expression."""
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def module(path: str, source: str) -> Module:
    imports: list[Import] = []
    attributes: list[ast.Attribute] = []
    calls: list[ast.Call] = []

    def walk(node: ast.AST, lazy: bool, for_types: bool) -> None:
        if isinstance(node, ast.Import):
            imports.extend(Import(a.name, node.lineno, lazy, for_types) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports are written in full"
            imports.extend(
                Import(f"{node.module}.{a.name}", node.lineno, lazy, for_types) for a in node.names
            )
        elif isinstance(node, ast.Attribute):
            attributes.append(node)
        elif isinstance(node, ast.Call):
            calls.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lazy = True
        elif isinstance(node, ast.If) and _name(node.test).endswith("TYPE_CHECKING"):
            for_types = True
        for child in ast.iter_child_nodes(node):
            walk(child, lazy, for_types)

    tree = ast.parse(source)
    walk(tree, False, False)
    docstring = ast.get_docstring(tree) or ""
    return Module(path, docstring, tuple(imports), tuple(attributes), tuple(calls))


@lru_cache
def modules(folder: str) -> tuple[Module, ...]:
    files = sorted((ROOT / folder).rglob("*.py"))
    return tuple(
        module(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in files
    )


def ours() -> tuple[Module, ...]:
    return tuple(one for layer in LAYERS for one in modules(layer))


def distribution(imported: str) -> str:
    """Return the layer of one of our modules, the top-level package of any other."""
    return imported.removeprefix("segue.").partition(".")[0]


def backward(one: Module) -> Iterator[str]:
    layer = one.path.partition("/")[0]
    forbidden = {*LAYERS[LAYERS.index(layer) + 1 :], "tests"}
    for found in one.imports:
        if distribution(found.module) in forbidden or found.module.startswith(BARE):
            yield f"{one.path}:{found.line} imports {found.module}"


def faust(one: Module) -> Iterator[str]:
    for found in one.imports:
        allowed = one.path in FAUST and (found.lazy or one.path != CLIENTS)
        if distribution(found.module) in {"faust", "mode"} and not allowed:
            yield f"{one.path}:{found.line} imports {found.module}"


def environment(one: Module) -> Iterator[str]:
    if one.path in ENVIRONMENT:
        return
    for found in one.imports:
        if found.module in {f"os.{name}" for name in ENVIRONMENT_NAMES}:
            yield f"{one.path}:{found.line} imports {found.module}"
    for node in one.attributes:
        if node.attr in ENVIRONMENT_NAMES:
            yield f"{one.path}:{node.lineno} reads the environment"


def impure_models(one: Module) -> Iterator[str]:
    if one.path.startswith("models/"):
        for found in one.imports:
            if distribution(found.module) in NOT_IN_MODELS:
                yield f"{one.path}:{found.line} imports {found.module}"


def unpickling(one: Module) -> Iterator[str]:
    for found in one.imports:
        if distribution(found.module) in UNPICKLERS:
            yield f"{one.path}:{found.line} imports {found.module}"
    for node in one.attributes:
        if node.attr in {"read_pickle", "to_pickle"}:
            yield f"{one.path}:{node.lineno} calls {node.attr}"
    for call in one.calls:
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        for name, safe in SAFE_ARGUMENTS.items():
            value = arguments.get(name)
            if value is not None and not (isinstance(value, ast.Constant) and value.value is safe):
                yield f"{one.path}:{call.lineno} sets {name}={ast.unparse(value)}"
        # Before torch 2.6 it unpickles by default.
        if _name(call.func) == "torch.load" and "weights_only" not in arguments:
            yield f"{one.path}:{call.lineno} calls torch.load without weights_only=True"


Check = Callable[[Module], Iterator[str]]


@pytest.mark.parametrize(
    ("check", "folders"),
    [
        (backward, LAYERS),
        (faust, LAYERS),
        (environment, LAYERS),
        (impure_models, LAYERS),
        (unpickling, [*LAYERS, "tests"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_sources_keep_the_rule(check: Check, folders: list[str]):
    files = [one for folder in folders for one in modules(folder)]
    assert [found for one in files for found in check(one)] == []


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (backward, "models/a.py", "from segue.stream import events"),
        (backward, "stream/a.py", "import segue.offline.replay"),
        (backward, "stream/a.py", "def f():\n    from segue.offline.replay import read"),
        (backward, "stream/a.py", "if TYPE_CHECKING:\n    from segue.offline.replay import Log"),
        (backward, "offline/a.py", "from tests.support.toy import song"),
        (backward, "offline/a.py", "from models.base import NextSongModel"),
        (faust, "stream/serving/pipeline.py", "import faust"),
        (faust, CLIENTS, "from faust import App"),
        (faust, "offline/replay.py", "def f():\n    import faust.types"),
        (environment, "stream/kafka/clients.py", "import os\nos.environ['A']"),
        (environment, "offline/cli/__init__.py", "from os import getenv"),
        (impure_models, "models/a.py", "from time import time"),
        (impure_models, "models/a.py", "def f():\n    import lmdb"),
        (unpickling, "tests/a.py", "import pickle"),
        (unpickling, "tests/a.py", "np.load(file, allow_pickle=True)"),
        (unpickling, "tests/a.py", "np.load(file, allow_pickle=maybe)"),
        (unpickling, "tests/a.py", "torch.load(file, weights_only=False)"),
        (unpickling, "tests/a.py", "torch.load(file)"),
        (unpickling, "tests/a.py", "polars.read_pickle(file)"),
    ],
)
def test_a_breach_is_found(check: Check, path: str, source: str):
    assert list(check(module(path, source)))


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (backward, "offline/a.py", "from segue.stream import events\nfrom segue.models import x"),
        (faust, "stream/worker/agent.py", "import faust"),
        (faust, CLIENTS, "def f():\n    import faust"),
        (environment, "stream/config/settings.py", "import os\nos.environ['A']"),
        (impure_models, "stream/a.py", "import time"),
        (unpickling, "models/a.py", "torch.load(file, weights_only=True)"),
    ],
)
def test_what_is_allowed_passes(check: Check, path: str, source: str):
    assert list(check(module(path, source))) == []


def module_graph(files: tuple[Module, ...], types: bool = False) -> dict[str, set[str]]:
    """Return for each module those of ours it imports; `types`: imports for types alone, too."""
    names = {one.name for one in files}
    graph: dict[str, set[str]] = {}
    for one in files:
        imported = [found.module for found in one.imports if types or not found.for_types]
        owners = (name if name in names else name.rpartition(".")[0] for name in imported)
        graph[one.name] = {owner for owner in owners if owner in names}
    return graph


def package_graph(files: tuple[Module, ...]) -> dict[str, set[str]]:
    """Return for each package those that it imports, for types included."""
    package = {one.name: one.package for one in files}
    graph: dict[str, set[str]] = {one.package: set() for one in files}
    for name, imported in module_graph(files, types=True).items():
        graph[package[name]] |= {package[other] for other in imported} - {package[name]}
    return graph


def cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return the modules that those whose name begins with `start` import, directly or not."""
    found = {name for name in graph if name.startswith(start)}
    ahead = list(found)
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def test_modules_have_no_import_cycles():
    assert cycle(module_graph(ours())) == []


def test_packages_have_no_import_cycles():
    assert cycle(package_graph(ours())) == []


@pytest.mark.parametrize("start", ["segue.offline.replay", "segue.offline.cli.recommend"])
def test_what_runs_offline_does_not_import_faust(start):
    with_faust = {one.name for one in ours() if one.path in FAUST - {CLIENTS}}
    assert len(with_faust) == len(FAUST) - 1
    assert reachable(module_graph(ours()), start) & with_faust == set()


def parsed(files: dict[str, str]) -> tuple[Module, ...]:
    return tuple(module(path, source) for path, source in files.items())


def test_a_cycle_of_lazy_imports_is_found():
    files = {"models/a.py": "from segue.models import b"}
    files |= {"models/b.py": "def f():\n    import segue.models.a"}
    assert set(cycle(module_graph(parsed(files)))) == {"segue.models.a", "segue.models.b"}


def test_a_cycle_of_packages_is_found_where_modules_have_none():
    files = {"models/a/one.py": "from segue.models.b import two", "models/a/three.py": ""}
    files |= {"models/b/two.py": "", "models/b/four.py": "from segue.models.a.three import f"}
    assert cycle(module_graph(parsed(files))) == []
    assert set(cycle(package_graph(parsed(files)))) == {"models/a", "models/b"}


def test_indirect_imports_are_reachable():
    files = {"models/a.py": "", "stream/b.py": "from segue.models import a", "offline/c.py": ""}
    files |= {"offline/d/e.py": "def f():\n    from segue.stream.b import g"}
    found = reachable(module_graph(parsed(files)), "segue.offline.d")
    assert found == {"segue.offline.d.e", "segue.stream.b", "segue.models.a"}


def test_every_package_says_what_it_is_for():
    rooms = [one for one in ours() if one.path.endswith("__init__.py")]
    assert [one.path for one in rooms if len(one.docstring) < 60] == []


def test_the_distribution_claims_no_name_but_segue():
    """Every package is listed, below `segue`; a wheel is built in `make test-deployment`."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    setuptools = tomllib.loads(text)["tool"]["setuptools"]
    folders = {one.path.rpartition("/")[0] for one in ours()}
    assert set(setuptools["packages"]) == {
        f"segue.{folder.replace('/', '.')}" for folder in folders
    }
    assert setuptools["package-dir"] == {f"segue.{layer}": layer for layer in LAYERS}
    assert "py-modules" not in setuptools
