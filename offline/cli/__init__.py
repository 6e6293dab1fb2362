"""The `segue` command line: one module for each command, imported when the command runs.

Options of several commands are declared once, in `options`. Commands parse, call and print; the
work is done elsewhere. A new command is a module and a line in `COMMANDS`.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

import click

from segue.models.errors import SegueError

COMMANDS = {
    "demo": "Run the whole system on this machine and watch it recommend.",
    "ui": "Serve a web page to play songs and watch the live system.",
    "worker": "Consume plays, publish recommendations.",
    "broker": "Run the embedded broker in the foreground.",
    "topics": "Create missing topics and check existing ones.",
    "produce": "Send a play log to the topic of plays.",
    "songs": "Publish the catalogue to the workers.",
    "consume": "Show recommendations as they are published.",
    "train": "Train a model from a play log and write a bundle.",
    "embed": "Add embeddings of unplayed songs from their audio (cold start).",
    "refresh": "Train the active models on the stream (incremental training).",
    "models": "List models, activate one, or roll back.",
    "evaluate": "Evaluate models on the next songs of unseen sessions.",
    "replay": "Replay logged plays through the live pipeline and evaluate every list.",
    "compare": "Compare the active model and its shadow on the same live plays.",
    "experiment": "Reproduce a paper's experiment.",
    "recommend": "Compute one list and explain it.",
    "similar": "Show the songs nearest to a song or a listener.",
    "map": "Draw a map of song embeddings.",
    "playlist": "Continue a playlist song by song.",
    "bench": "Benchmark the hot path and its parts.",
    "forget": "Erase listeners.",
    "settings": "Show every setting, its value and its origin.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported from `segue.offline.cli.<name>` when they run.

    So `segue --help` imports nothing heavy.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"segue.offline.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; for an unknown name, suggest the nearest one."""
        if args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {args[0]!r}: {remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Show a user's mistake in one line; our own errors keep their traceback."""
        try:
            return super().invoke(ctx)
        except SegueError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="segue")
def main() -> None:
    """Segue recommends the next songs of a listening session, from a stream of plays."""
