"""`segue train audio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli.options import FIGURES, FORMAT, OUTPUT, options

if TYPE_CHECKING:
    from segue.offline.audio.sources import Sound
    from segue.offline.audio.targets import Targets
    from segue.offline.audio.train_audio import AudioBundle

SOUND = (
    click.option(
        "--audio",
        "audio_directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Directory of audio files (mp3, ogg, flac, wav), each named after its song's id.",
    ),
    click.option(
        "--spectrograms",
        "spectrograms_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Instead of it, an .npz of log-mel spectrograms.",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep spectrograms of audio files here for the next time.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Audio files that are decoded at once.",
    ),
)
TARGETS = (
    click.option(
        "--targets",
        "target_bundle",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Foretell the song vectors of this skip-gram or hybrid bundle.",
    ),
    click.option(
        "--plays",
        "plays_file",
        type=click.Path(exists=True, path_type=Path),
        help="Instead of it, factors of this play log (weighted matrix factorisation).",
    ),
    *FORMAT,
    click.option(
        "--factors",
        type=click.IntRange(min=1),
        default=40,
        show_default=True,
        help="Numbers in a song's vector, with --plays.",
    ),
)
# The defaults stand in the configs as well, which help must not wait for.
NETWORK = (
    click.option(
        "--network",
        "architecture",
        type=click.Choice(["document", "residual"]),
        default="document",
        show_default=True,
        help="The convolutional network of the document, or its residual rival.",
    ),
    click.option(
        "--loss",
        type=click.Choice(["squared", "weighted", "contrastive"]),
        help="[default: squared for the document's network, contrastive for its rival]",
    ),
    click.option(
        "--width",
        type=click.IntRange(min=1),
        help="Filters of a convolution. [default: 256, or 32 for the rival]",
    ),
    click.option(
        "--dense",
        type=click.IntRange(min=1),
        help="Numbers in a hidden layer. [default: 2048, or 256 for the rival]",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        default=60,
        show_default=True,
        help="Each hears a window of three seconds of every song.",
    ),
    click.option(
        "--validation-fraction",
        type=click.FloatRange(min=0, max=0.9),
        default=0.1,
        show_default=True,
        help="Share of the songs to judge by; 0 learns from all of them.",
    ),
    click.option(
        "--report",
        "report_directory",
        type=click.Path(file_okay=False, path_type=Path),
        help="Draw what the network hears: filters, a map of songs, what excites its units.",
    ),
)


@click.command()
@options(SOUND, TARGETS, NETWORK, OUTPUT, FIGURES)
def audio(
    audio_directory: Path | None,
    spectrograms_file: Path | None,
    cache: Path | None,
    workers: int,
    target_bundle: Path | None,
    plays_file: Path | None,
    format_name: str | None,
    factors: int,
    architecture: str,
    loss: str | None,
    width: int | None,
    dense: int | None,
    epochs: int,
    validation_fraction: float,
    report_directory: Path | None,
    out: Path,
    overwrite: bool,
    seed: int,
    json_file: Path | None,
) -> None:
    """Train a network that hears a song and foretells its vector.

    So that a song which nobody has played yet has a place among the others. It learns from songs
    that have both sound and plays. A file that cannot be decoded is told of and skipped.

    An .npz holds logmel_u8, uint8 [songs, bands, frames], its decibels lo and hi, and track,
    the songs' names; frames of 2,048 samples every 512, at 22,050 Hz.

    \b
    Examples:
      segue train audio --audio music --targets bundles/hybrid --out bundles/audio
      segue train audio --audio music --plays plays.csv --out bundles/audio --loss weighted
      segue train audio --spectrograms mel.npz --targets bundles/songs --out bundles/audio
    """
    from segue.offline.audio.train_audio import train_audio_bundle
    from segue.offline.audio.trainer import default_fit, default_network
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import plays_progress

    if (audio_directory is None) == (spectrograms_file is None):
        raise click.UsageError("give either --audio or --spectrograms")
    if (target_bundle is None) == (plays_file is None):
        raise click.UsageError("give either --targets or --plays")
    targets = _targets(target_bundle, plays_file, format_name, factors, seed)
    sound = _sound(audio_directory, spectrograms_file, cache, workers)
    fit = default_fit(architecture, epochs, loss)
    both = len(set(targets.song_ids) & set(sound.song_ids))
    windows = epochs * round((1 - validation_fraction) * both)
    with plays_progress("Learning", windows, unit="windows") as show:
        made = train_audio_bundle(
            sound,
            targets,
            out,
            default_network(architecture, width, dense),
            fit,
            validation_fraction=validation_fraction,
            seed=seed,
            overwrite=overwrite,
            on_windows=show,
        )
    write_json(json_file, made.figures)
    if report_directory is not None:
        _draw(made, sound, report_directory)
    _summarise(made)


def _targets(
    bundle: Path | None, plays: Path | None, format_name: str | None, factors: int, seed: int
) -> Targets:
    from segue.models.collaborative.als import FactorsConfig
    from segue.offline.audio.targets import bundle_targets, factor_targets
    from segue.offline.datasets.readers import read_plays

    if bundle is not None:
        return bundle_targets(bundle)
    assert plays is not None
    return factor_targets(read_plays(plays, format_name), FactorsConfig(dim=factors), seed=seed)


def _sound(
    directory: Path | None, spectrograms: Path | None, cache: Path | None, workers: int
) -> Sound:
    from segue.models.audio.mel_spectrogram import MelConfig
    from segue.offline.audio.library import find_files
    from segue.offline.audio.sources import read_files, read_spectrograms
    from segue.offline.audio.spectrogram_cache import Hearing
    from segue.offline.reporting.progress import plays_progress

    if spectrograms is not None:
        return read_spectrograms(spectrograms)
    assert directory is not None
    with plays_progress("Listening", len(find_files(directory)), unit="files") as show:
        return read_files(
            directory, Hearing(MelConfig()), cache=cache, workers=workers, on_file=show
        )


def _draw(made: AudioBundle, sound: Sound, directory: Path) -> None:
    import numpy as np

    from segue.offline.audio.inspect import LEAST_MAPPED, write_view

    # Of songs held back, but a few make no picture.
    learned = len(made.held) < LEAST_MAPPED
    shown = made.learned if learned else made.held
    rows = np.flatnonzero(np.isin(list(sound.song_ids), list(shown.targets.song_ids)))
    write_view(directory, made.fitted, sound, rows, learned=learned)


def _summarise(made: AudioBundle) -> None:
    figures = made.figures
    for failure in figures["failures"]:
        click.echo(f"skipped {failure}", err=True)
    click.echo(
        f"{made.manifest.version}: learned from {figures['songs']:,} songs, epoch "
        f"{figures['epoch']} is best"
    )
    if "cosine" in figures:
        click.echo(
            f"  {figures['held_songs']:,} songs held back: cosine {figures['cosine']:.3f}, a "
            f"song's own vector is number {figures['median_rank']:g} from the foretold one (by "
            f"chance {figures['median_rank_by_chance']:g})"
        )
