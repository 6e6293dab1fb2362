"""`segue experiment`: run a paper's experiment anew."""

from __future__ import annotations

import click

from offline.experiments.amnn import amnn
from offline.experiments.audio import audio


@click.group()
def experiment() -> None:
    """Run a paper's experiment anew: its protocol, its rivals, its table and its figures.

    \b
    Examples:
      segue experiment amnn --plays kaggle_visible_evaluation_triplets.txt --out runs/amnn
      segue experiment audio --emotify audio_emotify --out runs/audio
      segue experiment amnn --help
    """


experiment.add_command(amnn)
experiment.add_command(audio)
