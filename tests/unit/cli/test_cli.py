import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from segue.offline.cli import COMMANDS, main
from tests.support.command_lines import refusal, segue_commands

ROOT = Path(__file__).parents[3]
HEAVY = {
    *("torch", "numpy", "polars", "faiss", "safetensors"),
    *("faust", "aiokafka", "kafka", "lmdb", "pydantic", "rich"),
}
HELP_S = 1.0  # of processor time: how long help may take however busy the machine is


def lines_of_commands(name: str) -> Iterator[list[str]]:
    """Give the words of a command and of everything below it."""

    def walk(words: list[str], command: click.Command) -> Iterator[list[str]]:
        yield words
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None, f"{words} lists {inner!r} and has it not"
                yield from walk([*words, inner], found)

    command = main.get_command(click.Context(main), name)
    assert command is not None
    return walk([name], command)


def segue(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from segue.offline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_by_example_how_it_is_used(name):
    for words in lines_of_commands(name):
        result = CliRunner().invoke(main, [*words, "--help"])
        assert result.exit_code == 0, result.output
        lines = [line.strip() for line in result.output.splitlines()]
        examples = [line for line in lines if line.startswith(f"segue {' '.join(words)}")]
        assert examples, f"segue {' '.join(words)} --help has no example"
        for line in examples:
            for arguments in segue_commands(line):
                assert refusal(arguments) is None, line


def test_every_command_has_one_module_and_every_module_its_command():
    modules = {path.stem for path in (ROOT / "offline" / "commands").glob("*.py")}
    assert modules - {"__init__"} == set(COMMANDS)


def loaded_by(code: str) -> tuple[set[str], float]:
    """Run code in a fresh Python; name the modules it left loaded and its processor time."""
    ending = "import sys, time; print(time.process_time(), *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, *modules = result.stdout.splitlines()[-1].split(" ")
    return {name.partition(".")[0] for name in modules}, float(seconds)


def test_help_is_quick_because_it_loads_nothing_heavy():
    code = "from segue.offline.cli import main; main(['--help'], standalone_mode=False)"
    modules, seconds = loaded_by(code)
    assert "click" in modules
    assert modules & HEAVY == set()
    assert "segue.offline.cli.demo" not in modules
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
def test_an_unknown_command_is_answered_with_what_there_is(wrong, meant):
    result = CliRunner().invoke(main, [wrong])
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
    result = segue(*given, **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


def test_our_own_slips_keep_their_traceback(monkeypatch):
    def slip():
        raise ZeroDivisionError

    monkeypatch.setattr("segue.offline.reporting.json_file.write_json", lambda *_: slip())
    result = CliRunner().invoke(main, ["settings"])
    assert isinstance(result.exception, ZeroDivisionError)
