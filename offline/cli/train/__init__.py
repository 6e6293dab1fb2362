"""`segue train`: train a model and write a bundle, one module for each kind."""

from __future__ import annotations

import click

from segue.offline.cli.train.amnn import amnn
from segue.offline.cli.train.audio import audio
from segue.offline.cli.train.gru import gru
from segue.offline.cli.train.hybrid import hybrid
from segue.offline.cli.train.skipgram import skipgram


@click.group()
def train() -> None:
    """Train a model from a play log and write a bundle: a directory that can be served.

    \b
    Examples:
      segue train gru --plays plays.csv --out bundles/gru
      segue train amnn --plays plays.csv --out bundles/amnn
      segue train skipgram --plays plays.csv --out bundles/songs
      segue train hybrid --plays plays.csv --out bundles/hybrid
      segue train audio --audio music --targets bundles/hybrid --out bundles/audio
      segue train gru --help
    """


for _command in (gru, amnn, hybrid, skipgram, audio):
    train.add_command(_command)
