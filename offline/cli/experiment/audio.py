"""`segue experiment audio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.offline.experiments.cold_start_audio.models import ColdStartTask, Predicted


@click.command()
@click.option(
    "--emotify",
    "emotify_directory",
    type=opt.EXISTING_DIRECTORY,
    required=True,
    help="Directory of logmel.npz and emotions.csv: 400 songs with emotions and likes.",
)
@opt.report("Directory of the report; results in it are kept and reused.", required=True)
@opt.number("--splits", 5, "Folds of the songs, each of which is new once.", click.IntRange(min=2))
@opt.group(
    opt.number("--cnn-epochs", 24, "Passes over the songs for the CNN."),
    opt.number("--resnet-epochs", 20, "Passes over the songs for the residual network."),
    opt.number("--width", 64, "Filters of the CNN; the original has 256."),
)
@opt.number(
    "--resnet-dropout",
    0.2,
    "Dropout of the residual network.",
    click.FloatRange(min=0, max=1, max_open=True),
)
@opt.number("--listeners", 1_200, "Listeners of the synthetic play log.", click.IntRange(min=10))
@opt.seed(1)
def audio(
    emotify_directory: Path,
    out: Path,
    splits: int,
    cnn_epochs: int,
    resnet_epochs: int,
    width: int,
    resnet_dropout: float,
    listeners: int,
    seed: int,
) -> None:
    """Evaluate song embeddings predicted from real audio (cold start).

    Tasks: the genre of the nearest songs, likes and dislikes of real listeners, and the
    listeners of an unplayed song in a synthetic play log over the songs' real genres and
    emotions. Baselines: chance, popularity, genres, audio statistics, and embeddings trained on
    plays. Writes a page, figures and plots.

    \b
    Examples:
      segue experiment audio --emotify audio_emotify --out runs/audio
      segue experiment audio --emotify audio_emotify --out runs/quick --cnn-epochs 5
    """
    from dataclasses import replace

    from segue.offline.audio.inspect import write_view
    from segue.offline.experiments.cold_start_audio.emotify import read_emotify
    from segue.offline.experiments.cold_start_audio.report import PAGE, write_report
    from segue.offline.experiments.cold_start_audio.runner import (
        LISTENING,
        AudioProtocol,
        run_experiment,
    )
    from segue.offline.experiments.cold_start_audio.summary import gather
    from segue.offline.reporting.progress import steps_progress

    protocol = AudioProtocol(
        splits=splits,
        cnn_epochs=cnn_epochs,
        resnet_epochs=resnet_epochs,
        width=width,
        dense=8 * width,
        resnet_dropout=resnet_dropout,
        listening=replace(LISTENING, listeners=listeners),
        seed=seed,
    )
    songs = read_emotify(emotify_directory)

    def draw(predicted: Predicted, task: ColdStartTask) -> None:
        assert predicted.fitted is not None, "it is a network"
        write_view(out, predicted.fitted, songs.sound, task.new, seed=seed)

    with steps_progress() as say:
        found = run_experiment(songs, protocol, out, on_network=draw, say=say)
    write_report(out, gather(found), protocol)
    click.echo(f"{out / PAGE}")
