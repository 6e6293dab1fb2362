"""`segue playlist`: continue a playlist song by song."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table


@click.command()
@opt.served_bundle("The trained model: a GRU.")
@click.option(
    "--start",
    "names",
    multiple=True,
    required=True,
    help="First song, by its id, title or part of a title. Repeatable.",
)
@opt.number("--length", 10, "Songs to add.")
@click.option("--greedy", is_flag=True, help="Choose the most probable song each time (default).")
@click.option(
    "--temperature",
    type=opt.POSITIVE,
    help="Sample songs instead: below 1 favours probable songs, above 1 improbable ones.",
)
@opt.seed(0, "Seed of the sampling.")
@click.option("--no-repeat/--repeat", default=True, show_default=True, help="Each song once.")
@opt.json_file("Write the playlist to this file.")
def playlist(
    directory: Path,
    names: tuple[str, ...],
    length: int,
    greedy: bool,
    temperature: float | None,
    seed: int,
    no_repeat: bool,
    json_file: Path | None,
) -> None:
    """Continue a playlist song by song: all songs so far are the context of the next one.

    The probability shown is the model's for that song among all songs, at that position.

    \b
    Examples:
      segue playlist --bundle bundles/gru --start 'Vitamin C'
      segue playlist --bundle bundles/gru --start s17 --start s4 --length 20
      segue playlist --bundle bundles/gru --start s17 --temperature 0.8 --seed 7
    """
    import torch
    from rich.text import Text

    from segue.models.bundles.bundle import read_bundle
    from segue.models.gru.scorer import GRUNextSong
    from segue.offline.inspection.playlist import continue_playlist
    from segue.offline.inspection.song_lookup import find_song, item_entry, show
    from segue.offline.reporting.json_file import write_json

    if greedy and temperature is not None:
        raise click.UsageError("--greedy and --temperature exclude each other: give one")
    bundle = read_bundle(directory)
    start = [find_song(bundle, name) for name in names]
    songs = continue_playlist(
        GRUNextSong.from_bundle(bundle),
        start,
        length,
        generator=None if temperature is None else torch.Generator().manual_seed(seed),
        temperature=temperature or 1.0,
        repeat=not no_repeat,
    )
    figures = {
        "model": bundle.manifest.version,
        "start": [item_entry(bundle, item) for item in start],
        "songs": [
            {**item_entry(bundle, song.item), "probability": song.probability} for song in songs
        ],
    }
    write_json(json_file, figures)
    rows = [("", item, "start") for item in start]
    rows += [(str(n), song.item, f"{song.probability:.2%}") for n, song in enumerate(songs, 1)]
    # Text, as rich would take brackets in a title for markup.
    print_table(
        ("", "Song", "Id", "Probability"),
        [
            (number, Text(show(bundle.titles, song_id)), Text(song_id), probability)
            for number, item, probability in rows
            for song_id in [bundle.vocabulary.song(item)]
        ],
        title=f"Playlist by {bundle.manifest.version}",
        left=3,
    )
    if len(songs) < length:
        click.echo(f"The bundle knows no more songs: {len(songs)} of {length}.", err=True)
