"""`segue songs`: tell workers what is known of songs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.models.data.catalogue import SongDetails

EXISTING = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--plays", "plays_file", type=EXISTING, help="A play log that knows its songs.")
@click.option("--format", "format_name", help="The log's format; told from the file if left out.")
@click.option(
    "--values", "values_file", type=EXISTING, help="JSON lines, as the topic of songs has them."
)
@click.option(
    "--decoys",
    type=click.FloatRange(min=0),
    help="Add made-up songs that nobody plays, so many for each that --bundle does not know.",
)
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --decoys: whose songs are known.",
)
@click.option("--world", type=int, help="The songs of the generated world of this seed.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write JSON lines here instead, for --catalogue of other commands.",
)
def songs(
    plays_file: Path | None,
    format_name: str | None,
    values_file: Path | None,
    decoys: float | None,
    bundle: Path | None,
    world: int | None,
    out: Path | None,
) -> None:
    """Send what is known of songs to the topic of songs, which every worker follows.

    Artists, release dates and flags are what rules of lists look at (`segue worker --rules`).
    A worker takes up a song at once, and before what its bundle says; the last word on a song
    holds. A record without a value, which no command here sends, takes a song's details back.

    A log knows the songs that were played, which a catalogue does not know beforehand: for a
    replay of new songs, --decoys puts as many between them as yours may have.

    \b
    Examples:
      segue songs --plays plays.csv
      segue songs --plays plays.csv --bundle bundles/hybrid --decoys 3 --out songs.jsonl
      segue songs --values songs.jsonl
      segue songs --world 1 --out songs.jsonl
    """
    from segue.offline.operations.catalogue import send_songs, write_songs
    from segue.offline.reporting.progress import plays_progress
    from segue.stream.config.settings import load_settings
    from segue.stream.kafka.topics import require_topics

    if sum(each is not None for each in (plays_file, values_file, world)) != 1:
        raise click.UsageError("give one of --plays, --values and --world")
    if (decoys is None) != (bundle is None) or (decoys is not None and out is None):
        raise click.UsageError("--decoys needs --bundle and --out: no worker should have decoys")
    known = _known(plays_file, format_name, values_file, world)
    if decoys is not None and bundle is not None:
        from segue.models.bundles.bundle import read_bundle
        from segue.offline.training.cold_start_augmentation import with_decoys

        known = with_decoys(known, read_bundle(bundle, kind=None).vocabulary, decoys, seed=0)
    if not known:
        raise click.ClickException("nothing is known of these songs: name another source")
    if out is not None:
        write_songs(out, known)
        return
    settings = load_settings()
    require_topics(settings)
    with plays_progress("Sending", len(known), unit="songs") as advance:
        send_songs(settings, known, advance)
    click.echo(f"{len(known):,} songs delivered.", err=True)


def _known(
    plays_file: Path | None, format_name: str | None, values_file: Path | None, world: int | None
) -> Mapping[str, SongDetails]:
    from segue.offline.datasets.readers import read_plays
    from segue.offline.simulation import generate_world
    from segue.offline.simulation.config import WorldConfig
    from segue.stream.messages.songs import read_songs

    if values_file is not None:
        return read_songs(values_file)
    if plays_file is not None:
        return read_plays(plays_file, format_name).details()
    assert world is not None
    return generate_world(WorldConfig(), world).log.details()
