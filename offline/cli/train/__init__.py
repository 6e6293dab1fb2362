"""`segue train`: train a model from a play log into a bundle, one module a kind."""

from __future__ import annotations

import click

from segue.offline.cli.train.amnn import amnn
from segue.offline.cli.train.audio import audio
from segue.offline.cli.train.gru import gru
from segue.offline.cli.train.hybrid import hybrid
from segue.offline.cli.train.skipgram import skipgram


@click.group()
def train() -> None:
    """Train a model from a play log into a bundle: a directory to serve from.

    \b
    Examples:
      segue train gru --plays plays.csv --out bundles/gru
      segue train amnn --plays plays.csv --out bundles/amnn
      segue train skipgram --plays plays.csv --out bundles/songs
      segue train hybrid --plays plays.csv --out bundles/hybrid
      segue train audio --audio music --targets bundles/hybrid --out bundles/audio
      segue train gru --help
    """


train.add_command(gru)
train.add_command(amnn)
train.add_command(hybrid)
train.add_command(skipgram)
train.add_command(audio)
