"""`segue experiment audio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.offline.experiments.cold_start_audio.models import Foretold, Pupils


@click.command()
@click.option(
    "--emotify",
    "emotify_directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Directory of logmel.npz and emotions.csv: 400 songs, what listeners felt and liked.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory of the report; splits that were run there before are not run again.",
)
@click.option(
    "--splits",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Parts of the songs, each of which is new once.",
)
@click.option(
    "--document-epochs",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    help="Passes over the songs of the document's network.",
)
@click.option(
    "--residual-epochs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Passes over the songs of its rival.",
)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Filters of the document's network; the document itself has 256.",
)
@click.option(
    "--residual-dropout",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the rival's numbers zeroed in training.",
)
@click.option("--listeners", type=click.IntRange(min=10), default=1_200, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def audio(
    emotify_directory: Path,
    out: Path,
    splits: int,
    document_epochs: int,
    residual_epochs: int,
    width: int,
    residual_dropout: float,
    listeners: int,
    seed: int,
) -> None:
    """Test on real sound what vectors foretold from it are worth.

    By song: genre among the nearest songs, likes and dislikes of real listeners, and who plays a
    song that nobody has played, in a listening log made up over the songs' real genres and
    emotions. Against chance, popularity, genres, statistics of the sound, and vectors that
    listening gave. Writes a page, figures and pictures.

    \b
    Examples:
      segue experiment audio --emotify audio_emotify --out runs/audio
      segue experiment audio --emotify audio_emotify --out runs/quick --document-epochs 5
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
        document_epochs=document_epochs,
        residual_epochs=residual_epochs,
        width=width,
        dense=8 * width,
        residual_dropout=residual_dropout,
        listening=replace(LISTENING, listeners=listeners),
        seed=seed,
    )
    songs = read_emotify(emotify_directory)

    def draw(foretold: Foretold, pupils: Pupils) -> None:
        assert foretold.fitted is not None, "it is a network"
        write_view(out, foretold.fitted, songs.sound, pupils.new, seed=seed)

    with steps_progress() as say:
        found = run_experiment(songs, protocol, out, on_network=draw, say=say)
    write_report(out, gather(found), protocol)
    click.echo(f"{out / PAGE}")
