"""`segue refresh`: keep models fresh from the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--bootstrap", "kafka_bootstrap", help="Kafka brokers: host:port, comma-separated.")
@click.option(
    "--bundle-root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where bundles lie and new ones are written, as the workers have it.",
)
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="To begin with, where nothing is active yet."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where checkpoints are kept.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    default=9465,
    show_default=True,
    help="Port of the Prometheus metrics; 0 for none.",
)
@click.option(
    "--every-plays",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    help="Refresh after so many plays,",
)
@click.option(
    "--every-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="or so many minutes, whichever is first.",
)
@click.option(
    "--held-back",
    type=click.FloatRange(min=0, max=0.5),
    default=0.1,
    show_default=True,
    help="Share of the new sessions, the newest, that a new bundle is judged by.",
)
@click.option(
    "--most-lost",
    type=click.FloatRange(min=0, max=1),
    default=0.02,
    show_default=True,
    help="By which its hit rate @20 may be lower than that of the bundle before.",
)
@click.option(
    "--least-plays",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of a song, before it gets a vector; until then recent plays speak for it.",
)
@click.option("--seed", type=int, default=0, show_default=True)
def refresh(
    every_plays: int,
    every_minutes: float,
    held_back: float,
    most_lost: float,
    least_plays: int,
    seed: int,
    **overrides: Any,
) -> None:
    """Renew what is in service from the plays that come, until stopped.

    A consumer group of its own rebuilds sessions from the plays. Every so often the bundle that
    makes the lists, and song vectors that are active, learn from the new sessions: new songs
    get a place among those they were heard with, play counts decay, vectors go on learning
    without turning away from what they were. Each new bundle is judged on the newest sessions
    beside the one before; then it is activated, or set aside below refused/ with the reason.

    \b
    Examples:
      segue refresh --bundle-root bundles --bundle bundles/hybrid
      segue refresh --bundle-root bundles --every-plays 10000 --every-minutes 15
    """
    from segue.stream.config.settings import load_settings
    from segue.stream.refresh.agent import run_refresh
    from segue.stream.refresh.guardrails import GuardRails
    from segue.stream.refresh.refresh import RefreshPlan
    from segue.stream.refresh.service import Schedule

    settings = load_settings(**{name: v for name, v in overrides.items() if v is not None})
    rails = GuardRails(most_lost=most_lost)
    plan = RefreshPlan(rails=rails, held_back=held_back, least_plays=least_plays, seed=seed)
    run_refresh(settings, plan, Schedule(every_plays, every_minutes * 60))
