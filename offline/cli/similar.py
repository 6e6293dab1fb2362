"""`segue similar`: nearest songs by embedding."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import print_table

BAR_WIDTH = 20


@click.command()
@click.argument("name", metavar="[SONG]", required=False)
@opt.served_bundle("A model with song embeddings: skip-gram or GRU.")
@opt.number("-n", 10, "Songs to show.", name="count")
@click.option(
    "--user-songs",
    metavar="A,B,C",
    help="Instead of SONG: songs of a listener, who is the mean of their embeddings.",
)
@opt.json_file("Write the songs to this file.")
def similar(
    name: str | None, directory: Path, count: int, user_songs: str | None, json_file: Path | None
) -> None:
    """Show the songs nearest to SONG by the cosine of their embeddings.

    SONG is an id, a title or part of a title. A cosine of 1 is the same direction, 0 is no
    similarity.

    \b
    Examples:
      segue similar 'Vitamin C' --bundle bundles/songs
      segue similar s17 --bundle bundles/songs -n 20 --json similar.json
      segue similar --user-songs s17,s4,'Vitamin C' --bundle bundles/songs
    """
    from rich.text import Text

    from segue.models.ops.vectors import nearest_songs, user_vector
    from segue.models.registry import open_song_vectors
    from segue.offline.inspection.song_lookup import find_song, find_songs, item_entry, show
    from segue.offline.reporting.json_file import write_json

    if (name is None) == (user_songs is None):
        raise click.UsageError("give either SONG or --user-songs")
    bundle, vectors = open_song_vectors(directory)
    songs = [find_song(bundle, name)] if name is not None else find_songs(bundle, user_songs or ",")
    query = user_vector(vectors, songs)
    found = nearest_songs(vectors, query, count, excluded=songs)
    figures = {
        "model": bundle.manifest.version,
        "of": [item_entry(bundle, item) for item in songs],
        "songs": [{**item_entry(bundle, item), "cosine": cosine} for item, cosine in found],
    }
    write_json(json_file, figures)
    plays = bundle.weights["popularity"].tolist()
    queried = ", ".join(show(bundle.titles, song_id) for song_id in bundle.vocabulary.songs(songs))
    # Text, as rich would take brackets in a title for markup.
    print_table(
        ("Song", "Id", "Plays", "Cosine", ""),
        [
            (
                Text(show(bundle.titles, bundle.vocabulary.song(item))),
                Text(bundle.vocabulary.song(item)),
                f"{plays[item]:,.0f}",
                f"{cosine:.3f}",
                Text("█" * round(BAR_WIDTH * max(cosine, 0.0)), justify="left"),
            )
            for item, cosine in found
        ],
        title=Text(f"Near {queried}"),
        left=2,
    )
