"""`segue settings`: every setting, its value, where it came from and what it means."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt


@click.command()
@opt.json_file("Write the settings to this file; secrets stay hidden.")
def settings(json_file: Path | None) -> None:
    """Show every setting, its value, its origin and its meaning.

    A setting NAME is read from the environment as SEGUE_NAME, else from `segue.toml` (or the
    file in SEGUE_CONFIG), else it has its default. Secrets are never shown.

    \b
    Examples:
      segue settings
      SEGUE_LIST_LENGTH=50 segue settings
      echo 'list_length = 50' > segue.toml && segue settings
    """
    import sys

    from rich.console import Console
    from rich.table import Table

    from segue.offline.reporting.json_file import write_json
    from segue.stream.config.settings import Settings, load_settings, origins

    loaded = load_settings()
    values = loaded.model_dump(mode="json")  # secrets come out as asterisks
    write_json(json_file, values)
    table = Table("setting", "value", "origin", "meaning", box=None)
    for name, origin in origins(loaded).items():
        shown = "-" if values[name] is None else str(values[name])
        meaning = Settings.model_fields[name].description
        table.add_row(name, shown, origin, meaning, style=None if origin == "default" else "bold")
    # A pipe has no width of its own: lines stay whole, so that grep finds them.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
