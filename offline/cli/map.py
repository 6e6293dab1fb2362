"""`segue map`: songs on a plane, as a picture and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from segue.offline.visualization.song_map import SongMap

PICTURE, PAGE, FIGURES = "map.png", "map.html", "map.json"


@click.command()
@click.option(
    "--bundle",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="A model with song vectors: skip-gram or GRU.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Directory to write to.",
)
@click.option(
    "--songs",
    type=click.IntRange(min=5),
    default=5000,
    show_default=True,
    help="How many, the most played first.",
)
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Colour by this: a table with song_id and label, or the tags of yes.com's songs.",
)
@click.option(
    "--plays",
    "plays_file",
    type=click.Path(exists=True, path_type=Path),
    help="A play log that names the artists, where the bundle does not.",
)
@click.option("--format", "format_name", help="The log's format; told from the file if left out.")
@click.option("--seed", type=int, default=0, show_default=True)
def map(
    directory: Path,
    out: Path,
    songs: int,
    labels_file: Path | None,
    plays_file: Path | None,
    format_name: str | None,
    seed: int,
) -> None:
    """Draw songs so that those heard together lie together (t-SNE of their vectors).

    Writes map.png, map.html (to zoom, search and ask for near songs in; it needs no network)
    and map.json with the figures: how many of a song's nearest songs share its artist, or its
    label, by the vectors, on the map and by chance. Distances between far groups mean little.

    \b
    Examples:
      segue map --bundle bundles/songs --out map
      segue map --bundle bundles/songs --out map --labels genres.csv --songs 2000
      segue map --bundle bundles/songs --out map --plays window0.tsv --format 30music
    """
    from dataclasses import asdict

    from segue.models.registry import open_song_vectors
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.visualization.labels import artists, read_labels
    from segue.offline.visualization.song_map import draw_up, write_page, write_picture

    bundle, vectors = open_song_vectors(directory)
    log = read_plays(plays_file, format_name) if plays_file else None
    by_artist = artists(bundle.titles, log)
    kind, labels = read_labels(labels_file) if labels_file else ("artist", by_artist)
    with _working(min(songs, len(bundle.vocabulary))):
        made = draw_up(
            bundle,
            vectors,
            labels=labels,
            artists=by_artist,
            label_kind=kind,
            songs=songs,
            seed=seed,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_picture(made, out / PICTURE)
    write_page(made, out / PAGE)
    pure = asdict(made.purity) if made.purity else None
    write_json(
        out / FIGURES,
        {"model": made.model, "songs": len(made), "seed": seed, "purity": pure},
    )
    _summarise(made, out)


def _working(songs: int) -> Any:
    """Show that something goes on, as t-SNE says nothing of how far it is."""
    from rich.console import Console

    return Console(stderr=True).status(f"Placing {songs:,} songs by t-SNE")


def _summarise(made: SongMap, out: Path) -> None:
    click.echo(made.told)
    if not made.legend:
        click.echo("No two songs share a label: give --labels, or --plays of a log with artists")
    click.echo(f"Look at {out / PAGE} and {out / PICTURE}")
