"""`segue similar`: the songs nearest to one, or to a listener."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle

BAR_WIDTH = 20


@click.command()
@click.argument("name", metavar="[SONG]", required=False)
@click.option(
    "--bundle",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="A model with song vectors: skip-gram or GRU.",
)
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--user-songs",
    "heard",
    metavar="A,B,C",
    help="Instead of SONG: the songs of a listener, who stands at the mean of their vectors.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the songs found here."
)
def similar(
    name: str | None, directory: Path, count: int, heard: str | None, json_file: Path | None
) -> None:
    """Show the songs nearest to SONG by the cosine of their vectors.

    A song is named by its id, its title or a part of it. A cosine of 1 is the same direction,
    0 nothing in common.

    \b
    Examples:
      segue similar 'Vitamin C' --bundle bundles/songs
      segue similar s17 --bundle bundles/songs -n 20 --json similar.json
      segue similar --user-songs s17,s4,'Vitamin C' --bundle bundles/songs
    """
    from segue.models.ops.vectors import nearest_songs, user_vector
    from segue.models.registry import open_song_vectors
    from segue.offline.inspection.song_lookup import find_song

    if (name is None) == (heard is None):
        raise click.UsageError("give either SONG or --user-songs")
    names = [name] if name is not None else _split(heard or "")
    bundle, vectors = open_song_vectors(directory)
    songs = [find_song(bundle, each) for each in names]
    query = user_vector(vectors, songs)
    found = nearest_songs(vectors, query, count, barred=songs)
    _write(json_file, bundle, songs, found)
    _print(bundle, songs, found)


def _split(heard: str) -> list[str]:
    from segue.offline.inspection.song_lookup import split_names

    names = split_names(heard)
    if not names:
        raise click.UsageError(f"--user-songs {heard!r} names no song")
    return names


def _write(
    json_file: Path | None, bundle: Bundle, songs: Sequence[int], found: Sequence[tuple[int, float]]
) -> None:
    from segue.offline.reporting.json_file import write_json

    def entry(item: int) -> dict[str, str]:
        song_id = bundle.vocabulary.song(item)
        title, artist = bundle.titles.get(song_id, ("", ""))
        return {"song_id": song_id, "title": title, "artist": artist}

    figures = {
        "model": bundle.manifest.version,
        "of": [entry(item) for item in songs],
        "songs": [{**entry(item), "cosine": cosine} for item, cosine in found],
    }
    write_json(json_file, figures)


def _print(bundle: Bundle, songs: Sequence[int], found: Sequence[tuple[int, float]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from segue.offline.inspection.song_lookup import show

    plays = bundle.weights["popularity"].tolist()
    told = ", ".join(show(bundle.titles, song_id) for song_id in bundle.vocabulary.songs(songs))
    # Text, as a title may hold what rich would take for markup.
    table = Table(title=Text(f"Near {told}"))
    for column in ("Song", "Id", "Plays", "Cosine", ""):
        table.add_column(column, justify="right" if column in ("Plays", "Cosine") else "left")
    for item, cosine in found:
        song_id = bundle.vocabulary.song(item)
        table.add_row(
            Text(show(bundle.titles, song_id)),
            Text(song_id),
            f"{plays[item]:,.0f}",
            f"{cosine:.3f}",
            "█" * round(BAR_WIDTH * max(cosine, 0.0)),
        )
    Console().print(table)
