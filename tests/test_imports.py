"""What may import what, and what stands nowhere: read from the source, file by file."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["models", "stream", "offline"]  # each may import itself and those before it
FAUST = {
    *("stream/agents.py", "stream/transport.py", "stream/worker.py", "stream/clients.py"),
    "stream/refresh_agent.py",
    *("stream/plays_app.py", "stream/plays_worker.py"),
    "offline/bench/worker.py",
}
ENVIRONMENT = {"stream/settings.py"}
NOT_IN_MODELS = {
    *("time", "datetime", "random", "secrets", "socket", "subprocess"),
    *("kafka", "aiokafka", "faust", "lmdb", "pydantic_settings", "prometheus_client"),
}
UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MOST_LINES = 300


@dataclass(frozen=True)
class Import:
    """One imported module: where, whether only inside a function, whether only for types."""

    module: str
    line: int
    lazy: bool
    for_types: bool


def sources(*folders: str) -> dict[str, str]:
    """Give path -> source of every Python file in these folders."""
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


SOURCES = sources(*LAYERS)


def imports(source: str) -> Iterator[Import]:
    """Find all imports; `from a import b` counts as `a.b`, where b may be a module or a name."""

    def walk(node: ast.AST, lazy: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy, for_types)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full"
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", node.lineno, lazy, for_types)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy, for_types or guarded)

    yield from walk(ast.parse(source), False, False)


def top(module: str) -> str:
    return module.partition(".")[0]


def backward(path: str, source: str) -> Iterator[str]:
    layer = path.partition("/")[0]
    allowed = {*LAYERS[: LAYERS.index(layer) + 1]}
    for one in imports(source):
        if top(one.module) in {*LAYERS, "tests"} - allowed:
            yield f"{path}:{one.line} imports {one.module}"


def faust(path: str, source: str) -> Iterator[str]:
    for one in imports(source):
        lazily = one.lazy or path != "stream/clients.py"
        if top(one.module) in {"faust", "mode"} and not (path in FAUST and lazily):
            yield f"{path}:{one.line} imports {one.module}"


def environment(path: str, source: str) -> Iterator[str]:
    if path in ENVIRONMENT:
        return
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for one in imports(source):
        if one.module in {f"os.{name}" for name in names}:
            yield f"{path}:{one.line} imports {one.module}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in names:
            yield f"{path}:{node.lineno} reads the environment"


def impure_models(path: str, source: str) -> Iterator[str]:
    if not path.startswith("models/"):
        return
    for one in imports(source):
        if top(one.module) in NOT_IN_MODELS:
            yield f"{path}:{one.line} imports {one.module}"


def unpickling(path: str, source: str) -> Iterator[str]:
    for one in imports(source):
        if top(one.module) in UNPICKLERS:
            yield f"{path}:{one.line} imports {one.module}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in {"read_pickle", "to_pickle"}:
            yield f"{path}:{node.lineno} calls {node.attr}"
        if isinstance(node, ast.Call):
            yield from (f"{path}:{node.lineno} {said}" for said in _unpickling_call(node))


def _unpickling_call(node: ast.Call) -> Iterator[str]:
    safe = {"allow_pickle": False, "weights_only": True}
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    for name, value in safe.items():
        found = given.get(name)
        if found is not None and not (isinstance(found, ast.Constant) and found.value is value):
            yield f"gives {name}={ast.unparse(found)}"
    # Before torch 2.6 it unpickles unless told otherwise.
    if ast.unparse(node.func) == "torch.load" and "weights_only" not in given:
        yield "calls torch.load without weights_only=True"


Check = Callable[[str, str], Iterator[str]]


@pytest.mark.parametrize(
    "check", [backward, faust, environment, impure_models], ids=lambda check: check.__name__
)
def test_no_file_holds_what_is_kept_out_of_it(check: Check):
    assert [said for path, source in SOURCES.items() for said in check(path, source)] == []


def test_nothing_is_unpickled_anywhere():
    everything = SOURCES | sources("tests")
    assert [said for path, source in everything.items() for said in unpickling(path, source)] == []


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (backward, "models/a.py", "from stream import events"),
        (backward, "stream/a.py", "import offline.plays"),
        (backward, "stream/a.py", "def f():\n    from offline.plays import read"),
        (backward, "stream/a.py", "if TYPE_CHECKING:\n    from offline.plays import Log"),
        (backward, "offline/a.py", "from tests.toy import song"),
        (faust, "stream/pipeline.py", "import faust"),
        (faust, "stream/clients.py", "from faust import App"),
        (faust, "offline/replay.py", "def f():\n    import faust.types"),
        (environment, "stream/clients.py", "import os\nos.environ['A']"),
        (environment, "offline/cli.py", "from os import getenv"),
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
def test_the_checks_see_what_they_look_for(check: Check, path: str, source: str):
    assert list(check(path, source))


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (backward, "offline/a.py", "from stream import events\nfrom models import lists"),
        (faust, "stream/agents.py", "import faust"),
        (faust, "stream/clients.py", "def f():\n    import faust"),
        (environment, "stream/settings.py", "import os\nos.environ['A']"),
        (impure_models, "stream/a.py", "import time"),
        (unpickling, "models/a.py", "torch.load(file, weights_only=True)"),
    ],
)
def test_the_checks_let_the_rest_pass(check: Check, path: str, source: str):
    assert list(check(path, source)) == []


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def needs(files: dict[str, str]) -> dict[str, set[str]]:
    """Give for each module those of ours that run it needs, wherever it imports them."""
    modules = {dotted(path) for path in files}
    return {
        dotted(path): {
            found
            for one in imports(source)
            if not one.for_types
            for found in [one.module if one.module in modules else one.module.rpartition(".")[0]]
            if found in modules
        }
        for path, source in files.items()
    }


def loop(files: dict[str, str]) -> list[str]:
    try:
        TopologicalSorter(needs(files)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_loop():
    assert loop(SOURCES) == []


def reached(files: dict[str, str], start: str) -> set[str]:
    """Give the modules of ours that are needed where those below `start` are."""
    graph = needs(files)
    found = {module for module in graph if module.startswith(start)}
    ahead = list(found)
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


@pytest.mark.parametrize("start", ["offline.replay", "offline.commands.recommend"])
def test_what_runs_offline_needs_no_module_that_imports_faust(start):
    with_faust = {dotted(path) for path in FAUST - {"stream/clients.py"}}
    assert reached(SOURCES, start) & with_faust == set()


def test_what_is_needed_in_turn_is_seen():
    files = {"models/a.py": "", "stream/b.py": "from models import a", "offline/c.py": ""}
    files["offline/d/e.py"] = "def f():\n    from stream.b import g"
    assert reached(files, "offline.d") == {"offline.d.e", "stream.b", "models.a"}


def test_a_loop_would_be_seen_even_where_it_is_lazy():
    files = {"models/a.py": "from models import b", "models/b.py": "def f():\n    import models.a"}
    assert set(loop(files)) == {"models.a", "models.b"}


def test_files_are_short_enough_to_read():
    lengths = {path: text.count("\n") for path, text in (SOURCES | sources("tests")).items()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_every_package_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {path.rpartition("/")[0].replace("/", ".") for path in SOURCES}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
