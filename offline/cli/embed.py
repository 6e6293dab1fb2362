"""`segue embed`: song embeddings from audio, for cold start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle
    from segue.models.cold_start.audio_embeddings import EmbeddedSongs


@click.command()
@opt.AUDIO_DIRECTORY
@opt.bundle("With --audio: the audio model.", option="--model", name="model")
@opt.group(opt.SPECTROGRAM_CACHE, opt.DECODERS)
@click.option(
    "--vectors",
    "vectors_file",
    type=opt.EXISTING_FILE,
    help="Instead of --audio: your own song embeddings, a safetensors file.",
)
@click.option(
    "--aligned", is_flag=True, help="With --vectors: they are in the bundle's skip-gram space."
)
@opt.bundle("The hybrid.", name="directory", required=True)
@opt.BUNDLE_OUTPUT
@click.option("--activate", is_flag=True, help="Activate the new bundle.")
@opt.bundle_root(
    "With --activate: directory of the bundles. [default: the setting `bundle_root`]", name="root"
)
def embed(
    audio_directory: Path | None,
    model: Path | None,
    cache: Path | None,
    workers: int,
    vectors_file: Path | None,
    aligned: bool,
    directory: Path,
    out: Path,
    overwrite: bool,
    activate: bool,
    root: Path | None,
) -> None:
    """Add embeddings of songs without plays to a bundle, from their audio (cold start).

    A song that the hybrid does not know gets an embedding in its skip-gram space: predicted
    from audio by a bundle of `segue train audio`, or mapped there from vectors of your own. The
    map is fitted on the songs that the bundle knows, so include theirs. `content` is the source
    of such a song in a list. As it is played, its embedding moves to the songs of its sessions;
    once a model is trained on its plays, it needs none.

    A file of vectors holds a tensor `vectors`, one row a song, and in its metadata `song_ids`,
    a JSON list. Songs with an album, artist or genres in the catalogue need no embedding:
    workers compute one from these as soon as they read them from the topic of songs.

    \b
    Examples:
      segue embed --audio songs --model bundles/audio --bundle bundles/hybrid --out bundles/next
      segue embed --vectors mine.safetensors --bundle bundles/hybrid --out bundles/next
      segue embed --vectors mine.safetensors --bundle bundles/hybrid --out bundles/b --activate
    """
    from segue.models.bundles.bundle import check_writable
    from segue.offline.training import embed_songs

    by_audio = audio_directory is not None
    if by_audio == (vectors_file is not None) or by_audio != (model is not None):
        raise click.UsageError("give --audio and --model, or --vectors")
    check_writable(out, overwrite=overwrite)
    hybrid = embed_songs.read_hybrid(directory)
    if vectors_file is not None:
        songs = embed_songs.read_vectors(vectors_file)
        if not aligned:
            songs, alignment = embed_songs.aligned(songs, hybrid)
            click.echo(
                f"Alignment fitted on {alignment.songs:,} known songs: cosine "
                f"{alignment.cosine:.2f} on its validation split",
                err=True,
            )
    else:
        assert audio_directory is not None
        assert model is not None
        songs = _embed_audio(audio_directory, model, cache, workers, hybrid)
    written = embed_songs.embed(hybrid, songs, out, overwrite=overwrite)
    click.echo(
        f"{written.manifest.version} has audio embeddings of {written.songs:,} songs, "
        f"{written.new:,} of them new; it is in {out}"
    )
    if activate:
        _activate(out, root)


def _embed_audio(
    audio: Path, model: Path, cache: Path | None, workers: int, hybrid: Bundle
) -> EmbeddedSongs:
    from segue.models.cold_start.audio_embeddings import EmbeddedSongs
    from segue.offline.audio.embed_files import embed_directory
    from segue.offline.reporting.progress import plays_progress
    from segue.offline.training.embed_songs import EmbeddingError

    with plays_progress("Decoding", None, unit="files") as advance:
        found = embed_directory(
            audio, model, cache=cache, workers=workers, on_file=lambda done, total: advance(done)
        )
    for failure in found.failures:
        click.echo(f"{failure.path}: skipped: {failure.reason}", err=True)
    version = hybrid.manifest.version
    if found.space != "skipgram":
        raise EmbeddingError(
            f"{model} predicts {found.space}, not skip-gram embeddings: train it with --targets "
            f"{version}"
        )
    if found.target not in {version, hybrid.manifest.training.get("refreshed_from")}:
        click.echo(
            f"{model} was trained for the space of {found.target}, not of {version}: its "
            "embeddings fit only if one of them was refreshed from the other",
            err=True,
        )
    return EmbeddedSongs(found.song_ids, found.vectors)


def _activate(out: Path, root: Path | None) -> None:
    from segue.offline.operations.bundle_inventory import find_bundle, require_root
    from segue.stream.serving.model_registry import (
        promote,
        publish_active_model,
        read_model_registry,
    )

    settings = opt.load_settings(bundle_root=root)
    served = find_bundle(settings, require_root(settings), str(out))
    before = read_model_registry(settings).active
    publish_active_model(settings, promote(served, before))
    previous = before.version if before else "nothing"
    click.echo(f"{served.version} is active; before it {previous}")
