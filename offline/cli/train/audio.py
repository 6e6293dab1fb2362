"""`segue train audio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.offline.audio.sources import Sound
    from segue.offline.audio.targets import Targets
    from segue.offline.audio.train_audio import AudioBundle

ARCHITECTURES = {"cnn": "document", "resnet": "residual"}
"""Names of the networks, and as bundles store them."""
SOUND = opt.group(
    opt.AUDIO_DIRECTORY,
    click.option(
        "--spectrograms",
        "spectrograms_file",
        type=opt.EXISTING_FILE,
        help="Instead of --audio: an .npz of log-mel spectrograms.",
    ),
    opt.SPECTROGRAM_CACHE,
    opt.DECODERS,
)
TARGETS = opt.group(
    opt.bundle(
        "Predict the song embeddings of this skip-gram or hybrid bundle.",
        option="--targets",
        name="target_bundle",
    ),
    opt.play_log(
        "Instead of --targets: predict factors of this play log (weighted matrix factorisation).",
        required=False,
    ),
    opt.number("--factors", 40, "With --plays: size of a song's vector of factors."),
)
# The defaults stand in the configs as well, which are too heavy to import for --help.
NETWORK = opt.group(
    opt.choice(
        "--network",
        list(ARCHITECTURES),
        "cnn",
        "Plain convolutional network, or residual network.",
        name="architecture",
    ),
    click.option(
        "--loss",
        type=click.Choice(["squared", "weighted", "contrastive"]),
        help="[default: squared for cnn, contrastive for resnet]",
    ),
    opt.number("--width", None, "Filters of a convolution. [default: 256 for cnn, 32 for resnet]"),
    opt.number("--dense", None, "Units of a dense layer. [default: 2048 for cnn, 256 for resnet]"),
    opt.number("--epochs", 60, "Passes over the songs, each over a window of three seconds."),
    opt.validation_fraction("Share of the songs in the validation split; 0: no validation."),
    click.option(
        "--report",
        "report_directory",
        type=opt.NEW_DIRECTORY,
        help="Draw what the network learned: filters, a map of songs, what activates its units.",
    ),
)


@click.command()
@opt.group(SOUND, TARGETS, NETWORK, opt.BUNDLE_OUTPUT, opt.TRAINING_FIGURES)
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
    """Train a network that predicts a song's embedding from its audio.

    Songs that nobody has played yet (cold start) get an embedding from their sound. The network
    trains on songs that have both audio and plays. Files that cannot be decoded are reported
    and skipped.

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
    architecture = ARCHITECTURES[architecture]
    targets = _targets(target_bundle, plays_file, format_name, factors, seed)
    sound = _sound(audio_directory, spectrograms_file, cache, workers)
    fit = default_fit(architecture, epochs, loss)
    both = len(set(targets.song_ids) & set(sound.song_ids))
    windows = epochs * round((1 - validation_fraction) * both)
    with plays_progress("Training", windows, unit="windows") as show:
        trained = train_audio_bundle(
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
    write_json(json_file, trained.figures)
    if report_directory is not None:
        _draw(trained, sound, report_directory)
    _show(trained)


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
    audio: Path | None, spectrograms: Path | None, cache: Path | None, workers: int
) -> Sound:
    from segue.models.audio.mel_spectrogram import MelConfig
    from segue.offline.audio.library import find_files
    from segue.offline.audio.sources import read_files, read_spectrograms
    from segue.offline.audio.spectrogram_cache import SpectrogramConfig
    from segue.offline.reporting.progress import plays_progress

    if spectrograms is not None:
        return read_spectrograms(spectrograms)
    assert audio is not None
    with plays_progress("Decoding", len(find_files(audio)), unit="files") as show:
        return read_files(
            audio, SpectrogramConfig(MelConfig()), cache=cache, workers=workers, on_file=show
        )


def _draw(trained: AudioBundle, sound: Sound, directory: Path) -> None:
    import numpy as np

    from segue.offline.audio.inspect import LEAST_MAPPED, write_view

    # Draw songs of the validation split; where they are too few for a picture, all others.
    learned = len(trained.held) < LEAST_MAPPED
    shown = trained.learned if learned else trained.held
    rows = np.flatnonzero(np.isin(list(sound.song_ids), list(shown.targets.song_ids)))
    write_view(directory, trained.fitted, sound, rows, learned=learned)


def _show(trained: AudioBundle) -> None:
    figures = trained.figures
    for failure in figures["failures"]:
        click.echo(f"skipped {failure}", err=True)
    click.echo(
        f"{trained.manifest.version}: trained on {figures['songs']:,} songs, epoch "
        f"{figures['epoch']} is best"
    )
    if "cosine" in figures:
        click.echo(
            f"  {figures['held_songs']:,} songs of the validation split: cosine "
            f"{figures['cosine']:.3f}, median rank of the true embedding "
            f"{figures['median_rank']:g} (by chance {figures['median_rank_by_chance']:g})"
        )
