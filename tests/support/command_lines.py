"""Command lines of `segue` as they stand in texts: found, and parsed without being run."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from segue.offline.cli import main

BEFORE_A_COMMAND = {"exec", "time", "nohup", "do", "then"}
PROMPT = re.compile(r"^\s*\$ ")
CONTINUED = re.compile(r"\\\n\s*")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
OPERATOR = re.compile(r"[();&|]+")
REDIRECTION = re.compile(r"[<>]+&?")


def simple_commands(script: str) -> Iterator[list[str]]:
    """Split shell text into commands, each as its words, without what a shell keeps to itself.

    >>> list(simple_commands("$ A=1 segue topics --check 2>&1 | head -3 > 'a b'  # look"))
    [['segue', 'topics', '--check'], ['head', '-3']]
    """
    for line in CONTINUED.sub(" ", script).splitlines():
        lexer = shlex.shlex(PROMPT.sub("", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        words = iter([*lexer, ";"])
        for word in words:
            if REDIRECTION.fullmatch(word):
                next(words)
                command = command[:-1] if command[-1:] == ["2"] else command
            elif not OPERATOR.fullmatch(word):
                if command or not (ASSIGNMENT.fullmatch(word) or word in BEFORE_A_COMMAND):
                    command.append(word)
            elif command:
                yield command
                command = []


def segue_commands(script: str) -> Iterator[list[str]]:
    """Return the arguments of each `segue`, wherever it is installed or run inside a container.

    >>> list(segue_commands(".venv/bin/segue demo && docker compose run --rm worker segue topics"))
    [['demo'], ['topics']]
    """
    for words in simple_commands(script):
        if words[0] == "docker" and "segue" in words:
            words = words[words.index("segue") :]
        if words[0].rpartition("/")[2] == "segue":
            yield words[1:]


def refusal(arguments: list[str]) -> str | None:
    """Return why `segue` would not take these arguments; None where it would. Nothing is run.

    Files need not exist: a text may call one FILE.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Command, "invoke", lambda self, context: None)
        patch.setattr(click.Path, "convert", lambda self, value, parameter, context: value)
        result = CliRunner().invoke(main, arguments)
    return result.output if result.exit_code else None
