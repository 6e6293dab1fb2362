"""What may import what, and what stands nowhere: read from the source, file by file."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LAYERS = ["models", "stream", "offline"]  # each may import itself and those before it
FAUST = {
    *(
        "stream/worker/agent.py",
        "stream/consumer/app.py",
        "stream/worker/main.py",
        "stream/kafka/clients.py",
    ),
    "stream/refresh/agent.py",
    *("stream/consumer/app.py", "stream/consumer/runner.py"),
    "offline/benchmarks/workers.py",
}
BARE = tuple(f"{layer}." for layer in LAYERS)  # ours are imported as they are installed: segue.*
ENVIRONMENT = {"stream/config/settings.py"}
NOT_IN_MODELS = {
    *("time", "datetime", "random", "secrets", "socket", "subprocess"),
    *("kafka", "aiokafka", "faust", "lmdb", "pydantic_settings", "prometheus_client"),
}
UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


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
    """Return the layer of one of our modules, the distribution's package of any other."""
    return module.removeprefix("segue.").partition(".")[0]


def backward(path: str, source: str) -> Iterator[str]:
    layer = path.partition("/")[0]
    allowed = {*LAYERS[: LAYERS.index(layer) + 1]}
    for one in imports(source):
        if top(one.module) in {*LAYERS, "tests"} - allowed or one.module.startswith(BARE):
            yield f"{path}:{one.line} imports {one.module}"


def faust(path: str, source: str) -> Iterator[str]:
    for one in imports(source):
        lazily = one.lazy or path != "stream/kafka/clients.py"
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
        (backward, "models/a.py", "from segue.stream import events"),
        (backward, "stream/a.py", "import segue.offline.datasets.play_log"),
        (backward, "stream/a.py", "def f():\n    from segue.offline.datasets.play_log import read"),
        (
            backward,
            "stream/a.py",
            "if TYPE_CHECKING:\n    from segue.offline.datasets.play_log import Log",
        ),
        (backward, "offline/a.py", "from tests.support.toy import song"),
        (faust, "stream/serving/pipeline.py", "import faust"),
        (faust, "stream/kafka/clients.py", "from faust import App"),
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
def test_the_checks_see_what_they_look_for(check: Check, path: str, source: str):
    assert list(check(path, source))


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (
            backward,
            "offline/a.py",
            "from segue.stream import events\nfrom segue.models import lists",
        ),
        (faust, "stream/worker/agent.py", "import faust"),
        (faust, "stream/kafka/clients.py", "def f():\n    import faust"),
        (environment, "stream/config/settings.py", "import os\nos.environ['A']"),
        (impure_models, "stream/a.py", "import time"),
        (unpickling, "models/a.py", "torch.load(file, weights_only=True)"),
    ],
)
def test_the_checks_let_the_rest_pass(check: Check, path: str, source: str):
    assert list(check(path, source)) == []


def dotted(path: str) -> str:
    return "segue." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


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


@pytest.mark.parametrize("start", ["segue.offline.replay", "segue.offline.cli.recommend"])
def test_what_runs_offline_needs_no_module_that_imports_faust(start):
    with_faust = {dotted(path) for path in FAUST - {"stream/kafka/clients.py"}}
    assert reached(SOURCES, start) & with_faust == set()


def test_what_is_needed_in_turn_is_seen():
    files = {"models/a.py": "", "stream/b.py": "from segue.models import a", "offline/c.py": ""}
    files["offline/d/e.py"] = "def f():\n    from segue.stream.b import g"
    assert reached(files, "segue.offline.d") == {
        "segue.offline.d.e",
        "segue.stream.b",
        "segue.models.a",
    }


def test_a_loop_would_be_seen_even_where_it_is_lazy():
    files = {"models/a.py": "from segue.models import b"}
    files["models/b.py"] = "def f():\n    import segue.models.a"
    assert set(loop(files)) == {"segue.models.a", "segue.models.b"}


def package(path: str) -> str:
    """Return the room a file lies in: two levels deep, or the file itself beside the rooms."""
    parts = path.removesuffix(".py").split("/")
    return "/".join(parts[:2])


def package_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """Return for each package those that it imports, for types included."""
    of_module = {dotted(path): package(path) for path in files}
    graph: dict[str, set[str]] = {one: set() for one in of_module.values()}
    for path, source in files.items():
        for one in imports(source):
            found = of_module.get(one.module) or of_module.get(one.module.rpartition(".")[0])
            if found is not None and found != package(path):
                graph[package(path)].add(found)
    return graph


def package_cycle(files: dict[str, str]) -> list[str]:
    try:
        TopologicalSorter(package_graph(files)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_packages_have_no_cycles():
    assert package_cycle(SOURCES) == []


def test_a_cycle_of_packages_would_be_seen_where_its_modules_have_none():
    files = {"models/a/one.py": "from segue.models.b import two", "models/a/three.py": ""}
    files |= {"models/b/two.py": "", "models/b/four.py": "from segue.models.a.three import f"}
    assert loop(files) == []
    assert set(package_cycle(files)) == {"models/a", "models/b"}


def test_every_package_says_what_it_is_for():
    bare = [
        path
        for path, source in SOURCES.items()
        if path.endswith("__init__.py") and len(ast.get_docstring(ast.parse(source)) or "") < 60
    ]
    assert bare == []


def test_every_package_is_installed_below_segue():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {f"segue.{path.rpartition('/')[0].replace('/', '.')}" for path in SOURCES}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
