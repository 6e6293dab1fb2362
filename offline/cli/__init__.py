"""The `segue` command line: one module a command, imported when it is asked for.

Options shared by commands are declared once, in `options`; no command holds logic.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

import click

from segue.models.errors import SegueError

COMMANDS = {
    "demo": "Run the whole system on this machine and watch it recommend.",
    "ui": "Serve a page to listen in and to watch it all on.",
    "worker": "Consume plays, publish recommendations.",
    "broker": "Run the embedded broker in the foreground.",
    "topics": "Create the topics, or check the ones there are.",
    "produce": "Send a play log to the plays topic.",
    "songs": "Tell workers what is known of songs.",
    "consume": "Read recommendations.",
    "train": "Train a model from a play log into a bundle.",
    "embed": "Let songs be recommended by their sound before anybody has played them.",
    "refresh": "Keep models fresh from the stream.",
    "models": "Say which model serves, and put another in its place.",
    "evaluate": "Judge models on sessions that they have not seen.",
    "replay": "Replay logged plays through what runs live, and judge every list.",
    "compare": "Judge the active model and its shadow on the same live plays.",
    "experiment": "Run a paper's experiment anew.",
    "recommend": "Explain one list: every candidate, every model, every reason.",
    "similar": "Show the songs nearest to one, or to a listener.",
    "map": "Draw songs so that those heard together lie together.",
    "playlist": "Continue a playlist song by song.",
    "bench": "Measure the hot path and what it is made of.",
    "forget": "Delete what is known of a listener.",
    "settings": "Show every setting, its value and its origin.",
}


class LazyGroup(click.Group):
    """A group whose commands live in `segue.offline.cli.<name>` under their own names.

    `segue --help` must not wait for torch, so nothing is imported before it is needed.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one command that was asked for."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"segue.offline.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was asked for, or say which one may have been meant."""
        if args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"there is no command {args[0]!r}: {remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from their one-line summaries, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Turn a user's mistake into one line; leave our own slips their traceback."""
        try:
            return super().invoke(ctx)
        except SegueError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="segue")
def main() -> None:
    """Segue says which songs should come next, while the listener is still listening."""
