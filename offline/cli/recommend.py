"""`segue recommend`: one list, explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segue.offline.cli import options as opt

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle
    from segue.models.recommenders.base import Request
    from segue.stream.config.settings import Settings


@click.command()
@opt.served_bundle("The trained model: a hybrid or a GRU.")
@click.option("--songs", metavar="A,B,C", default="", help="The session so far, oldest first.")
@click.option(
    "--history", metavar="D,E", default="", help="Songs of earlier sessions, oldest first."
)
@click.option(
    "--user",
    metavar="ID",
    help="Read session and history from a worker's store; --songs are played after them.",
)
@opt.number("-n", 20, "List length.", click.IntRange(1, 1000), name="count")
@opt.RULES
@opt.catalogue("Catalogue for the rules: JSON lines as in the topic of songs.")
@click.option("--all", "everything", is_flag=True, help="Show all candidates, not the list alone.")
@opt.json_file("Write the explanation to this file.")
def recommend(
    directory: Path,
    songs: str,
    history: str,
    user: str | None,
    count: int,
    rules_file: Path | None,
    songs_file: Path | None,
    everything: bool,
    json_file: Path | None,
) -> None:
    """Compute one list as a worker does, and explain it.

    Songs are given by id, title or part of a title. Each recommended song is shown with its
    score, every model's probability and rank of it, the retrievers it came from, its
    attributions ("because": songs, in shares) and every feature of the ranker. Songs excluded
    by a rule stand at the end, with the rule. --user reads the histories in SEGUE_DATA_DIR and
    changes nothing there.

    \b
    Examples:
      segue recommend --bundle bundles/hybrid --songs 'Vitamin C,s17'
      segue recommend --bundle bundles/hybrid --songs s17 --history s4,s9 -n 5 --all
      segue recommend --bundle bundles/hybrid --songs s17 --rules rules.toml
      segue recommend --bundle bundles/gru --user u42 --json list.json
    """
    from rich.console import Console

    from segue.models.bundles.bundle import read_bundle
    from segue.models.registry import recommender_of
    from segue.offline.inspection.explanation import explain
    from segue.offline.inspection.explanation_view import figures, view
    from segue.offline.reporting.json_file import write_json
    from segue.stream.serving.factory import recommender_config
    from segue.stream.serving.rules import load_rules

    if user is None and not (songs or history):
        raise click.UsageError("name a listener or songs: --user, --songs or --history")
    if user is not None and history:
        raise click.UsageError("--user has a history of its own: leave --history out")
    settings = opt.load_settings(list_length=count, rules_file=rules_file, songs_file=songs_file)
    bundle = read_bundle(directory, kind=None)
    request = _request(settings, bundle, songs, history, user)
    recommender = recommender_of(bundle, recommender_config(settings), load_rules(settings))
    explanation = explain(recommender, request)
    write_json(json_file, figures(bundle, request, explanation, everything=everything))
    Console().print(view(bundle, request, explanation, everything=everything))


def _request(
    settings: Settings, bundle: Bundle, songs: str, history: str, user: str | None
) -> Request:
    from segue.models.data.play_metadata import NO_DETAIL_LISTS
    from segue.models.recommenders.base import Request
    from segue.offline.inspection.song_lookup import find_songs
    from segue.stream.serving.factory import store_config
    from segue.stream.state.snapshot import read_listener

    played = bundle.vocabulary.songs(find_songs(bundle, songs))
    before = bundle.vocabulary.songs(find_songs(bundle, history))
    if user is None:
        return Request(played, (), before)
    stored = read_listener(settings.data_dir / "histories", user, store_config(settings))
    session, during = stored.session
    if played:  # their times are unknown, so the whole session is read without details
        session, during = [*session, *played][-settings.session_max_songs :], NO_DETAIL_LISTS
    earlier = stored.history
    return Request(session, stored.popular, earlier.songs, during, earlier.details, stored.snapshot)
