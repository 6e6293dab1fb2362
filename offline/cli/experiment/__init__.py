"""`segue experiment`: run the experiment of a paper anew, one module an experiment."""

from __future__ import annotations

import click

from segue.offline.cli.experiment.amnn import amnn
from segue.offline.cli.experiment.audio import audio


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
