"""`segue playlist`: continue a playlist song by song."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle
    from segue.offline.inspection.playlist import PlaylistSong


@click.command()
@click.option(
    "--bundle",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="The trained model.",
)
@click.option(
    "--start",
    "names",
    multiple=True,
    required=True,
    help="A song to start from, by its id or (part of) its title; may be given several times.",
)
@click.option("--length", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--greedy", is_flag=True, help="Take the most probable song each time (default).")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    help="Draw songs instead: below 1 surer, above 1 more daring.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the drawing.")
@click.option("--no-repeat/--repeat", default=True, show_default=True, help="Each song once.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the playlist here."
)
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
    """Continue a playlist song by song: each song is chosen by all the songs before it.

    The probability shown is the model's for that song among all songs, at that place.

    \b
    Examples:
      segue playlist --bundle bundles/gru --start 'Vitamin C'
      segue playlist --bundle bundles/gru --start s17 --start s4 --length 20
      segue playlist --bundle bundles/gru --start s17 --temperature 0.8 --seed 7
    """
    import torch

    from segue.models.bundles.bundle import read_bundle
    from segue.models.gru.scorer import GRUNextSong
    from segue.offline.inspection.playlist import continue_playlist
    from segue.offline.inspection.song_lookup import find_song

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
    _write(json_file, bundle, start, songs)
    _print(bundle, start, songs)
    if len(songs) < length:
        click.echo(f"The bundle knows no more songs: {len(songs)} of {length}.", err=True)


def _write(
    json_file: Path | None, bundle: Bundle, start: Sequence[int], songs: Sequence[PlaylistSong]
) -> None:
    from segue.offline.reporting.json_file import write_json

    def entry(item: int) -> dict[str, str]:
        song_id = bundle.vocabulary.song(item)
        title, artist = bundle.titles.get(song_id, ("", ""))
        return {"song_id": song_id, "title": title, "artist": artist}

    figures = {
        "model": bundle.manifest.version,
        "start": [entry(item) for item in start],
        "songs": [{**entry(song.item), "probability": song.probability} for song in songs],
    }
    write_json(json_file, figures)


def _print(bundle: Bundle, start: Sequence[int], songs: Sequence[PlaylistSong]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from segue.offline.inspection.song_lookup import show

    table = Table(title=f"Playlist by {bundle.manifest.version}")
    table.add_column("", justify="right")
    table.add_column("Song")
    table.add_column("Id")
    table.add_column("Probability", justify="right")
    chances = [None] * len(start) + [song.probability for song in songs]
    for number, (item, chance) in enumerate(
        zip([*start, *(song.item for song in songs)], chances, strict=True), 1 - len(start)
    ):
        song_id = bundle.vocabulary.song(item)
        # Text, as a title may hold what rich would take for markup.
        row = Text(show(bundle.titles, song_id)), Text(song_id)
        told = "start" if chance is None else f"{chance:.2%}"
        table.add_row(str(number) if number > 0 else "", *row, told)
    Console().print(table)
