"""`segue experiment`: reproduce the experiment of a paper, one module for each."""

from __future__ import annotations

import click

from segue.offline.cli.experiment.amnn import amnn
from segue.offline.cli.experiment.audio import audio


@click.group()
def experiment() -> None:
    """Reproduce a paper's experiment: its protocol, baselines, table and figures.

    \b
    Examples:
      segue experiment amnn --plays kaggle_visible_evaluation_triplets.txt --out runs/amnn
      segue experiment audio --emotify audio_emotify --out runs/audio
      segue experiment amnn --help
    """


experiment.add_command(amnn)
experiment.add_command(audio)
