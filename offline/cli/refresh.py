"""`segue refresh`: incremental training from the stream."""

from __future__ import annotations

from typing import Any

import click

from segue.offline.cli.options import (
    POSITIVE,
    bootstrap,
    bundle,
    bundle_root,
    count,
    data_dir,
    load_settings,
    metrics_port,
    options,
    seed,
)


@click.command()
@options(
    bootstrap(),
    bundle_root("Directory of the bundles; the same as for the workers."),
    bundle("Bundle to start with, where none is active yet.", exists=False),
    data_dir("Directory of the checkpoints."),
    metrics_port(9465),
)
@count("--every-plays", 50_000, "Refresh after so many plays,")
@click.option(
    "--every-minutes",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    help="or after so many minutes, whichever is first.",
)
@click.option(
    "--validation-fraction",
    type=click.FloatRange(min=0, max=0.5),
    default=0.1,
    show_default=True,
    help="Share of the new sessions, the newest, that a new bundle is evaluated on.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0, max=1),
    default=0.02,
    show_default=True,
    help="Reject a bundle whose HR@20 is lower by more than this.",
)
@count("--min-plays", 1, "Plays before a new song gets an embedding.")
@seed()
def refresh(
    every_plays: int,
    every_minutes: float,
    validation_fraction: float,
    max_drop: float,
    min_plays: int,
    seed: int,
    **overrides: Any,
) -> None:
    """Train the active models on the plays of the stream, until stopped.

    A consumer group of its own rebuilds sessions from the plays. At each interval the active
    models are fine-tuned on the new sessions: new songs get an embedding near the songs of
    their sessions, play counts decay, embeddings are trained on and kept aligned with the old
    ones. Each new bundle is compared with the previous one on the newest sessions. Then it is
    activated, or moved below refused/ with the reason.

    \b
    Examples:
      segue refresh --bundle-root bundles --bundle bundles/hybrid
      segue refresh --bundle-root bundles --every-plays 10000 --every-minutes 15
    """
    from segue.stream.refresh.agent import run_refresh
    from segue.stream.refresh.guardrails import GuardRails
    from segue.stream.refresh.refresh import RefreshPlan
    from segue.stream.refresh.service import Schedule

    plan = RefreshPlan(
        rails=GuardRails(most_lost=max_drop),
        held_back=validation_fraction,
        least_plays=min_plays,
        seed=seed,
    )
    run_refresh(load_settings(**overrides), plan, Schedule(every_plays, every_minutes * 60))
