"""Documents: tables equal the code, commands parse, links resolve, names exist."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from docs import tables
from segue.offline.cli import COMMANDS, main
from segue.stream.config.settings import Settings
from tests.support.command_lines import refusal, segue_commands, simple_commands

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!https?://)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE = re.compile(r"\b(?:models|stream|offline|tests|docs)/[\w./-]*\w")
SHELLS = {"console", "sh", "bash", "shell"}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def document(request) -> Path:
    return request.param


def shell_blocks(text: str) -> list[str]:
    """Return the code blocks whose fence names a shell."""
    return [code for language, code in FENCED.findall(text) if language in SHELLS]


def inline_code(text: str) -> list[str]:
    return INLINE.findall(FENCED.sub("", text))


def command_lines(text: str) -> list[list[str]]:
    """Return the arguments of every `segue` in shell blocks and inline code."""
    text = text.partition("<!-- table: command-options -->")[0]  # usage lines are no commands
    return [
        arguments
        for code in [*shell_blocks(text), *inline_code(text)]
        for arguments in segue_commands(code)
    ]


def make_targets(text: str) -> set[str]:
    return {
        target
        for code in [*shell_blocks(text), *inline_code(text)]
        for words in simple_commands(code)
        if words[0] == "make"
        for target in words[1:]
        if not target.startswith("-") and "=" not in target
    }


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


def subcommands(name: str) -> list[list[str]]:
    command = main.get_command(click.Context(main), name)
    if isinstance(command, click.Group):
        return [[name, inner] for inner in command.list_commands(click.Context(command))]
    return [[name]]


COMMAND_NAMES = [words for name in COMMANDS for words in subcommands(name)]


@pytest.mark.parametrize("page", tables.pages(), ids=lambda path: path.name)
def test_tables_are_as_the_code_writes_them(page):
    text = page.read_text("utf-8")
    assert text == tables.written(text), "run `make docs`"


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_stands_in_a_page(name):
    marks = [path.read_text("utf-8").count(f"<!-- table: {name} -->") for path in tables.pages()]
    assert sum(marks) == 1


@pytest.mark.parametrize("words", COMMAND_NAMES, ids=" ".join)
def test_every_command_is_documented(words):
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert f"\n## segue {' '.join(words)}\n" in page


def test_every_command_line_parses(document):
    # A group by itself, or a command without what it requires, is a name and no command line.
    lines = [one for one in command_lines(document.read_text("utf-8")) if len(one) > 1]
    refused = {" ".join(one): refusal(one) for one in lines if one not in COMMAND_NAMES}
    assert {line: why for line, why in refused.items() if why} == {}


def test_every_target_of_make_exists(document):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert make_targets(document.read_text("utf-8")) <= set(targets)


def test_every_setting_that_is_named_exists(document):
    names = re.findall(r"SEGUE_([A-Z_]*[A-Z])", document.read_text("utf-8"))
    assert {name.lower() for name in names} - {"config", "name", "test_broker", "test_data"} <= set(
        Settings.model_fields
    )


def test_every_file_that_is_named_exists(document):
    text = LINK.sub("", document.read_text("utf-8"))
    named = set(FILE.findall(text))
    assert {one for one in named if not (ROOT / one).exists()} == set()


def test_every_test_that_is_named_exists(document):
    named = {one for one in inline_code(document.read_text("utf-8")) if re.match(r"test_\w+$", one)}
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert {one for one in named if f"def {one}(" not in sources} == set()


def test_every_module_that_is_run_exists(document):
    modules = re.findall(r"python -m (segue[\w.]+)", document.read_text("utf-8"))
    assert {one for one in modules if find_spec(one) is None} == set()


def test_links_and_anchors_resolve(document):
    broken = set()
    for link in LINK.findall(FENCED.sub("", document.read_text("utf-8"))):
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.add(link)
    assert broken == set()


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in DOCUMENTS
        for link in LINK.findall(page.read_text("utf-8"))
    }
    assert {page for page in DOCUMENTS if page != README} <= linked


def test_every_extra_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [path.read_text("utf-8") for path in (*DOCUMENTS, ROOT / "Makefile")]
    named = set(re.findall(r"(?:\.|segue)\[(\w+)\]", "".join(texts)))
    assert named
    assert named <= set(project["optional-dependencies"])


def test_the_readme_is_short_and_shows_commands():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    assert make_targets(text) >= {"demo", "test"}
    assert len(command_lines(text)) >= 5


def test_the_glossary_names_packages():
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    cells = [line.split("|")[-2] for line in text.splitlines() if line.startswith("| ")]
    packages = {name for cell in cells for name in INLINE.findall(cell)}
    assert len(packages) > 20
    assert {name for name in packages if not (ROOT / name / "__init__.py").is_file()} == set()


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("segue worker --bundle bundles/gru", True),
        ("SEGUE_LIST_LENGTH=5 .venv/bin/segue produce FILE --rate 3 2>&1 | tee log", True),
        ("docker compose run --rm worker segue topics --check", True),
        ("segue train gru --plays \\\n  plays.csv --out bundles/gru && ls", True),
        ("segue --help", True),
        ("segue wroker", False),
        ("segue worker --bundel bundles/gru", False),
        ("segue produce FILE --rate fast", False),
        ("segue produce", False),
        ("segue train lstm --plays FILE", False),
        ("time segue topics now", False),
    ],
)
def test_a_command_line_is_parsed_without_running_it(line, accepted):
    [arguments] = segue_commands(line)
    assert (refusal(arguments) is None) == accepted


def test_only_code_is_parsed():
    text = "segue is nice\n`segue topics`\n```console\nmake demo\n```\n```\nsegue no such\n```\n"
    assert command_lines(text) == [["topics"]]
    assert make_targets(text) == {"demo"}
