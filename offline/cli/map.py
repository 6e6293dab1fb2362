"""`segue map`: songs on a plane, as a picture and as a page."""

from __future__ import annotations

from pathlib import Path

import click

from segue.offline.cli import options as opt

PICTURE, PAGE, FIGURES = "map.png", "map.html", "map.json"


@click.command()
@opt.served_bundle("A model with song embeddings: skip-gram or GRU.")
@opt.report("Directory to write to.", required=True)
@opt.number("--songs", 5000, "Songs on the map, the most played ones.", click.IntRange(min=5))
@click.option(
    "--labels",
    "labels_file",
    type=opt.EXISTING_FILE,
    help="Colours: a table with song_id and label, or the tags of yes.com's songs.",
)
@opt.group(
    opt.play_log("A play log that names the artists, if the bundle does not.", required=False),
    opt.seed(),
)
def map(
    directory: Path,
    out: Path,
    songs: int,
    labels_file: Path | None,
    plays_file: Path | None,
    format_name: str | None,
    seed: int,
) -> None:
    """Draw a map of song embeddings (t-SNE): songs of the same sessions are close together.

    Writes map.png, map.html (zoom, search, nearest songs; it needs no network) and map.json
    with the figures: how many of a song's nearest songs share its artist, or its label, by
    the embeddings, on the map and by chance. Distances between far groups mean little.

    \b
    Examples:
      segue map --bundle bundles/songs --out map
      segue map --bundle bundles/songs --out map --labels genres.csv --songs 2000
      segue map --bundle bundles/songs --out map --plays window0.tsv --format 30music
    """
    from dataclasses import asdict

    from rich.console import Console

    from segue.models.registry import open_song_vectors
    from segue.offline.datasets.readers import read_plays
    from segue.offline.reporting.json_file import write_json
    from segue.offline.visualization.labels import artists, read_labels
    from segue.offline.visualization.song_map import build_map, write_page, write_picture

    bundle, vectors = open_song_vectors(directory)
    log = read_plays(plays_file, format_name) if plays_file else None
    by_artist = artists(bundle.titles, log)
    kind, labels = read_labels(labels_file) if labels_file else ("artist", by_artist)
    shown = min(songs, len(bundle.vocabulary))
    with Console(stderr=True).status(f"t-SNE of {shown:,} songs"):  # it reports no progress
        drawn = build_map(
            bundle,
            vectors,
            labels=labels,
            artists=by_artist,
            label_kind=kind,
            songs=songs,
            seed=seed,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_picture(drawn, out / PICTURE)
    write_page(drawn, out / PAGE)
    purity = asdict(drawn.purity) if drawn.purity else None
    write_json(
        out / FIGURES, {"model": drawn.model, "songs": len(drawn), "seed": seed, "purity": purity}
    )
    click.echo(drawn.summary)
    if not drawn.legend:
        click.echo("No two songs share a label: give --labels, or --plays of a log with artists")
    click.echo(f"Look at {out / PAGE} and {out / PICTURE}")
