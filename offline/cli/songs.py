"""`segue songs`: publish the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.models.data.catalogue import SongDetails


@click.command()
@opt.play_log("A play log with details of its songs.", required=False)
@click.option(
    "--values", "values_file", type=opt.EXISTING, help="JSON lines, as in the topic of songs."
)
@opt.group(
    opt.world("The songs of the synthetic play log with this seed."),
    opt.bundle("With --unplayed-songs: the bundle whose songs are known."),
)
@click.option(
    "--unplayed-songs",
    type=click.FloatRange(min=0),
    help="Add artificial songs that nobody plays, so many for each that --bundle does not know.",
)
@click.option(
    "--out",
    type=opt.NEW_FILE,
    help="Instead of sending them, write JSON lines here, for --catalogue of other commands.",
)
def songs(
    plays_file: Path | None,
    format_name: str | None,
    values_file: Path | None,
    world: int | None,
    bundle: Path | None,
    unplayed_songs: float | None,
    out: Path | None,
) -> None:
    """Publish the catalogue to the topic of songs, which every worker follows.

    Business rules (`segue worker --rules`) use artists, release dates and flags. Workers use a
    record at once; it overrides the bundle, and the last record of a song counts. A record
    without a value, which no command sends, deletes a song's details.

    A play log has only songs that were played, but a real catalogue has others, too: for a
    replay with new songs, --unplayed-songs adds as many as your catalogue may have.

    \b
    Examples:
      segue songs --plays plays.csv
      segue songs --plays plays.csv --bundle bundles/hybrid --unplayed-songs 3 --out songs.jsonl
      segue songs --values songs.jsonl
      segue songs --world 1 --out songs.jsonl
    """
    from segue.offline.operations.catalogue import send_songs, write_songs
    from segue.offline.reporting.progress import plays_progress
    from segue.stream.kafka.topics import require_topics

    if sum(each is not None for each in (plays_file, values_file, world)) != 1:
        raise click.UsageError("give one of --plays, --values and --world")
    if (unplayed_songs is None) != (bundle is None) or (unplayed_songs and out is None):
        raise click.UsageError(
            "--unplayed-songs needs --bundle and --out: workers must not get artificial songs"
        )
    catalogue = _read_catalogue(plays_file, format_name, values_file, world)
    if unplayed_songs is not None and bundle is not None:
        from segue.models.bundles.bundle import read_bundle
        from segue.offline.training.cold_start_augmentation import with_unplayed_songs

        vocabulary = read_bundle(bundle, kind=None).vocabulary
        catalogue = with_unplayed_songs(catalogue, vocabulary, unplayed_songs, seed=0)
    if not catalogue:
        raise click.ClickException("the source has no details of songs: name another one")
    if out is not None:
        write_songs(out, catalogue)
        return
    settings = opt.load_settings()
    require_topics(settings)
    with plays_progress("Sending", len(catalogue), unit="songs") as advance:
        send_songs(settings, catalogue, advance)
    click.echo(f"{len(catalogue):,} songs delivered.", err=True)


def _read_catalogue(
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
