"""`segue refresh`: incremental training from the stream."""

from __future__ import annotations

from typing import Any

import click

from segue.offline.cli import options as opt


@click.command()
@opt.group(
    opt.bootstrap(),
    opt.bundle_root("Directory of the bundles; the same as for the workers."),
    opt.bundle("Bundle to start with, where none is active yet.", exists=False),
    opt.data_dir("Directory of the checkpoints."),
    opt.metrics_port(9465),
)
@opt.number("--every-plays", 50_000, "Refresh after so many plays,")
@opt.number("--every-minutes", 60.0, "or after so many minutes, whichever is first.", opt.POSITIVE)
@opt.number(
    "--validation-fraction",
    0.1,
    "Share of the new sessions, the newest, that a new bundle is evaluated on.",
    click.FloatRange(min=0, max=0.5),
)
@opt.number(
    "--max-drop",
    0.02,
    "Reject a bundle whose HR@20 is lower by more than this.",
    click.FloatRange(min=0, max=1),
)
@opt.number("--min-plays", 1, "Plays before a new song gets an embedding.")
@opt.seed()
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
    run_refresh(opt.load_settings(**overrides), plan, Schedule(every_plays, every_minutes * 60))
