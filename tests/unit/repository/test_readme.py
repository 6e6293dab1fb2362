import re
import tomllib
from pathlib import Path

import click
import pytest

from segue.offline.cli import COMMANDS, main
from segue.stream.config.settings import Settings
from tests.support.command_lines import refusal, segue_commands, simple_commands

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
DOCUMENTS = [
    README,
    *sorted(
        path for name in ("models", "stream", "offline") for path in (ROOT / name).rglob("*.md")
    ),
]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
SHELLS = {"console", "sh", "bash", "shell"}


@pytest.fixture(scope="module")
def readme() -> str:
    assert README.is_file(), "README.md is missing"
    return README.read_text(encoding="utf-8")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def document(request) -> Path:
    return request.param


def shell_blocks(text: str) -> list[str]:
    """Give the code blocks that are for a shell, as their fences say."""
    return [code for language, code in FENCED.findall(text) if language in SHELLS]


def inline_code(text: str) -> list[str]:
    return INLINE.findall(FENCED.sub("", text))


def told_commands(text: str) -> list[list[str]]:
    """Give the arguments of every `segue` in code: of blocks, and of the text with options."""
    return [
        arguments
        for code in [*shell_blocks(text), *inline_code(text)]
        for arguments in segue_commands(code)
    ]


def told_targets(text: str) -> set[str]:
    return {
        target
        for code in [*shell_blocks(text), *inline_code(text)]
        for words in simple_commands(code)
        if words[0] == "make"
        for target in words[1:]
        if not target.startswith("-") and "=" not in target
    }


def subcommands(name: str) -> list[list[str]]:
    command = main.get_command(click.Context(main), name)
    if isinstance(command, click.Group):
        return [[name, inner] for inner in command.list_commands(click.Context(command))]
    return [[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name, readme):
    told = told_commands(readme)
    for words in subcommands(name):
        assert any(arguments[: len(words)] == words for arguments in told), words


def test_every_command_line_that_is_told_is_one_that_segue_takes(document):
    told = told_commands(document.read_text("utf-8"))
    # A group by itself, or a command named without what it needs, is a name and no command line.
    lines = [arguments for arguments in told if len(arguments) > 1]
    refused = {" ".join(arguments): refusal(arguments) for arguments in lines}
    assert {line: why for line, why in refused.items() if why and not is_name(line)} == {}


def is_name(line: str) -> bool:
    return line.split() in [words for name in COMMANDS for words in subcommands(name)]


def test_the_readme_tells_commands_and_targets(readme):
    assert told_commands(readme)
    assert told_targets(readme)


def test_every_target_of_make_that_is_told_exists(document):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert told_targets(document.read_text("utf-8")) <= set(targets)


def test_every_setting_and_file_that_is_named_exists(document):
    text = document.read_text("utf-8")
    names = {name.lower() for name in re.findall(r"SEGUE_([A-Z_]*[A-Z])", text)}
    assert names - {"config", "test_broker", "test_data"} <= set(Settings.model_fields)
    folders = {"models", "stream", "offline", "tests"}
    files = {code for code in inline_code(text) if code.partition("/")[0] in folders}
    assert {file for file in files if not (ROOT / file).exists() and " " not in file} == set()


def test_every_extra_that_is_installed_somewhere_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    told = [path.read_text("utf-8") for path in (*DOCUMENTS, ROOT / "Makefile")]
    named = set(re.findall(r"'(?:\.|segue)\[(\w+)\]'", "".join(told)))
    assert named
    assert named <= set(extras)


def test_every_file_that_is_linked_to_exists(document):
    links = LINK.findall(FENCED.sub("", document.read_text("utf-8")))
    assert {link for link in links if not (document.parent / link).exists()} == set()


@pytest.mark.parametrize(
    ("line", "taken"),
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
def test_a_command_line_is_told_from_a_wrong_one_without_running_it(line, taken):
    [arguments] = segue_commands(line)
    assert (refusal(arguments) is None) == taken


def test_only_code_is_looked_at():
    text = "segue is nice\n`segue topics`\n```console\nmake demo\n```\n```\nsegue no such\n```\n"
    assert told_commands(text) == [["topics"]]
    assert told_targets(text) == {"demo"}
