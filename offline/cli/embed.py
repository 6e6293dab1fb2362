"""`segue embed`: let songs be recommended by their sound before anybody has played them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle
    from segue.models.cold_start.audio_embeddings import EmbeddedSongs

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--audio", type=FOLDER, help="Directory of audio files, named after their songs.")
@click.option("--model", type=FOLDER, help="With --audio: the bundle that hears them.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --audio: keep spectrograms here for the next time.",
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--vectors",
    "vectors_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of audio: your own vectors of songs, a safetensors file.",
)
@click.option(
    "--placed", is_flag=True, help="These vectors lie in the bundle's skip-gram space already."
)
@click.option("--bundle", "directory", type=FOLDER, required=True, help="The hybrid.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Directory of the new bundle.",
)
@click.option("--overwrite", is_flag=True, help="Replace the bundle that --out holds.")
@click.option("--announce", is_flag=True, help="Let the new bundle make the lists from now on.")
@click.option(
    "--bundle-root",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --announce: where the bundles lie.  [default: the setting `bundle_root`]",
)
def embed(
    audio: Path | None,
    model: Path | None,
    cache: Path | None,
    workers: int,
    vectors_file: Path | None,
    placed: bool,
    directory: Path,
    out: Path,
    overwrite: bool,
    announce: bool,
    root: Path | None,
) -> None:
    """Write a bundle that knows songs by their sound, so that they need no play to be found.

    A song that the hybrid's models do not know gets a vector in its skip-gram space: predicted
    from its audio by a bundle of `segue train audio`, or brought there from vectors of your own.
    How yours get there is learned from the songs that the bundle knows, so give theirs, too. A
    list names `content` as the source of such a song. As plays come, its vector moves to the
    songs that it is heard among; a song that a later model knows needs none any more.

    A file of vectors holds a tensor `vectors`, one row a song, and in its metadata `song_ids`,
    a JSON list. Songs for which a catalogue names an album, artist or genres need no embedding:
    workers place them by those as soon as the topic of songs tells of them.

    \b
    Examples:
      segue embed --audio songs --model bundles/audio --bundle bundles/hybrid --out bundles/next
      segue embed --vectors mine.safetensors --bundle bundles/hybrid --out bundles/next
      segue embed --vectors mine.safetensors --bundle bundles/hybrid --out bundles/b --announce
    """
    from segue.models.bundles.bundle import check_writable
    from segue.offline.training.embed_songs import aligned, read_hybrid, read_vectors
    from segue.offline.training.embed_songs import embed as write

    if (audio is None) == (vectors_file is None) or (audio is None) != (model is None):
        raise click.UsageError("give --audio and --model, or --vectors")
    check_writable(out, overwrite=overwrite)
    bundle = read_hybrid(directory)
    if vectors_file is not None:
        songs = read_vectors(vectors_file)
        if not placed:
            songs, learned = aligned(songs, bundle)
            click.echo(
                f"{learned.songs:,} songs that the bundle knows taught the way into its space: "
                f"those held back stand at a cosine of {learned.cosine:.2f} to where they are",
                err=True,
            )
    else:
        assert audio is not None
        assert model is not None
        songs = _heard(audio, model, cache, workers, bundle)
    made = write(bundle, songs, out, overwrite=overwrite)
    click.echo(
        f"{made.manifest.version} knows {made.songs:,} songs by their sound, {made.new:,} of them "
        f"from here; it is in {out}"
    )
    if announce:
        _announce(out, root)


def _heard(
    audio: Path, model: Path, cache: Path | None, workers: int, bundle: Bundle
) -> EmbeddedSongs:
    from segue.models.cold_start.audio_embeddings import EmbeddedSongs
    from segue.offline.audio.embed_files import embed_directory
    from segue.offline.reporting.progress import plays_progress
    from segue.offline.training.embed_songs import EmbeddingError

    with plays_progress("Hearing", None, unit="files") as advance:
        found = embed_directory(
            audio, model, cache=cache, workers=workers, on_file=lambda done, total: advance(done)
        )
    for failure in found.failures:
        click.echo(f"{failure.path}: left out: {failure.reason}", err=True)
    if found.space != "skipgram":
        raise EmbeddingError(
            f"{model} foretells {found.space}, not a skip-gram space: train it with --targets "
            f"{bundle.manifest.version}"
        )
    versions = {bundle.manifest.version, bundle.manifest.training.get("refreshed_from")}
    if found.target not in versions:
        click.echo(
            f"{model} learned the space of {found.target}, not of {bundle.manifest.version}: "
            "good where the one came from the other by refreshes, and else not",
            err=True,
        )
    return EmbeddedSongs(found.song_ids, found.vectors)


def _announce(out: Path, root: Path | None) -> None:
    from segue.offline.operations.bundle_inventory import find_served, require_root
    from segue.stream.config.settings import load_settings
    from segue.stream.serving.model_registry import activation, read_announcements
    from segue.stream.serving.model_registry import announce as tell

    settings = load_settings(**({} if root is None else {"bundle_root": root}))
    served = find_served(settings, require_root(settings), str(out))
    before = read_announcements(settings).in_service
    tell(settings, activation(served, before))
    click.echo(f"{served.version} serves now; before it {before.version if before else 'nothing'}")
