"""One contract for every command, and what `segue` itself does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from segue.offline import cli
from segue.offline.cli import COMMANDS, main
from tests.support.cli import segue
from tests.support.command_lines import refusal, segue_commands

HEAVY = {
    *("torch", "numpy", "polars", "faiss", "safetensors"),
    *("faust", "aiokafka", "kafka", "lmdb", "pydantic", "rich"),
}
HELP_S = 1.0  # of processor time: the limit must hold on a busy machine, too


def walk(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, f"{words} lists {name!r} but does not have it"
            yield from walk((*words, name), found)


def find(words: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


ALL = [words for words in walk((), main) if words]
every_command = pytest.mark.parametrize("words", ALL, ids=" ".join)


@every_command
def test_help_ends_with_examples_that_parse(words):
    result = segue(*words, "--help")
    assert result.exit_code == 0, result.output
    _, found, section = result.output.partition("  Examples")
    assert found, f"segue {' '.join(words)} --help has no examples"
    lines = section.partition("\n\n")[0].splitlines()
    shown = [line for line in lines if "segue " in line]
    examples = [arguments for line in shown for arguments in segue_commands(line)]
    assert any(arguments[: len(words)] == list(words) for arguments in examples)
    for arguments in examples:
        assert refusal(arguments) is None, arguments


@every_command
def test_help_describes_the_command_and_its_options(words):
    command = find(words)
    assert command.help
    assert command.help.partition("\n\n")[0].endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            assert parameter.help[0].isupper() or parameter.help.startswith(("or ", "["))
            assert parameter.help[-1] in ".,])"


def test_every_command_of_the_table_has_a_module_of_its_name():
    directory = Path(cli.__file__).parent
    for name in COMMANDS:
        assert (directory / f"{name}.py").exists() or (directory / name / "__init__.py").exists()
        assert find((name,)).name == name


def loaded_by(code: str) -> tuple[set[str], float]:
    """Run code in a fresh Python; return the loaded modules and its processor time."""
    ending = "import sys, time; print(time.process_time(), *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}"], capture_output=True, text=True, check=True
    )
    seconds, *modules = result.stdout.splitlines()[-1].split(" ")
    return {name.partition(".")[0] for name in modules}, float(seconds)


def test_help_is_fast_because_it_loads_nothing_heavy():
    code = "from segue.offline.cli import main; main(['--help'], standalone_mode=False)"
    modules, seconds = loaded_by(code)
    assert "click" in modules
    assert modules & HEAVY == set()
    assert seconds < HELP_S


def test_no_command_loads_anything_heavy_before_it_runs():
    modules, seconds = loaded_by(
        "import importlib; from segue.offline.cli import COMMANDS\n"
        "for name in COMMANDS: importlib.import_module(f'segue.offline.cli.{name}')"
    )
    assert modules & HEAVY == set()
    assert seconds < HELP_S


@pytest.mark.parametrize(
    ("wrong", "meant"), [("wroker", "worker"), ("recomend", "recommend"), ("xyzzy", None)]
)
def test_an_unknown_command_gets_a_suggestion(wrong, meant):
    result = segue(wrong)
    assert result.exit_code == 2
    assert wrong in result.output
    for name in [meant] if meant else COMMANDS:
        assert name in result.output.rpartition("Error: ")[2]


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["settings"], {"SEGUE_BATCH_MAX": "0"}, "SEGUE_BATCH_MAX = '0'"),
        (["settings"], {"SEGUE_BATCH_MAKS": "1"}, "SEGUE_BATCH_MAKS"),
        (["consume", "--bundle", "EMPTY"], {}, "segue train"),
        (["produce", "EMPTY/plays.csv"], {}, "plays.csv"),
        (["broker", "--port", "0", "--host", "192.0.2.1"], {}, "192.0.2.1"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_1(arguments, environment, named, tmp_path):
    (tmp_path / "plays.csv").write_text("neither\nhere\n", encoding="utf-8")
    given = [argument.replace("EMPTY", str(tmp_path)) for argument in arguments]
    result = subprocess.run(
        [sys.executable, "-m", "segue.offline.cli", *given],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


def test_our_own_errors_keep_their_traceback(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("segue.offline.reporting.json_file.write_json", lambda *_: fail())
    result = CliRunner().invoke(main, ["settings"])
    assert isinstance(result.exception, ZeroDivisionError)
