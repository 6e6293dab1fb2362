"""`segue recommend`: one list, explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from segue.models.bundles.bundle import Bundle
    from segue.models.recommenders.base import Request
    from segue.stream.config.settings import Settings


@click.command()
@click.option(
    "--bundle",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="The trained model: a hybrid or a GRU.",
)
@click.option("--songs", metavar="A,B,C", default="", help="The session so far, oldest first.")
@click.option(
    "--history", metavar="D,E", default="", help="Songs of earlier sessions, oldest first."
)
@click.option(
    "--user",
    metavar="ID",
    help="Take session and history from a worker's store; --songs are played after them.",
)
@click.option(
    "-n", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="List length."
)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of what may be shown.",
)
@click.option(
    "--catalogue",
    "songs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is known of songs, for the rules: JSON lines as of the topic of songs.",
)
@click.option("--all", "everything", is_flag=True, help="Show the candidates it left out, too.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the explanation here."
)
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
    """Make one list as a worker would, and say how it came about.

    Songs are named by their ids, their titles or parts of those. For each song: the list's
    score, then each model's share of the chance to come next and the song's rank with that
    model, who put it forward, the songs that carried it ("because", in shares), and every
    feature the ranker saw. Songs that a rule left out stand at the end, with the rule. --user
    reads the histories in SEGUE_DATA_DIR and changes nothing there.

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
    from segue.stream.config.settings import load_settings
    from segue.stream.serving.factory import recommender_config
    from segue.stream.serving.rules import load_rules

    _check(songs, history, user)
    files = {"rules_file": rules_file, "songs_file": songs_file}
    given = {name: file for name, file in files.items() if file is not None}
    settings = load_settings(list_length=count, **given)
    bundle = read_bundle(directory, kind=None)
    request = _request(settings, bundle, songs, history, user)
    told = explain(
        recommender_of(bundle, recommender_config(settings), load_rules(settings)), request
    )
    write_json(json_file, figures(bundle, request, told, everything=everything))
    Console().print(view(bundle, request, told, everything=everything))


def _check(songs: str, history: str, user: str | None) -> None:
    if user is None and not (songs or history):
        raise click.UsageError("give --songs, --history or --user: whose list is it?")
    if user is not None and history:
        raise click.UsageError("--user brings its own history: leave --history out")


def _request(
    settings: Settings, bundle: Bundle, songs: str, history: str, user: str | None
) -> Request:
    """Put together what is known of the listener."""
    from segue.models.data.play_metadata import NOTHING_TOLD
    from segue.models.recommenders.base import Request
    from segue.stream.serving.factory import store_config
    from segue.stream.state.snapshot import read_listener

    played, before = _song_ids(bundle, songs), _song_ids(bundle, history)
    if user is None:
        return Request(played, (), before)
    stored = read_listener(settings.data_dir / "histories", user, store_config(settings))
    session, during = stored.session
    if played:  # nobody says when, so that of the whole session nothing is known but its songs
        session, during = [*session, *played][-settings.session_max_songs :], NOTHING_TOLD
    earlier = stored.history
    return Request(session, stored.popular, earlier.songs, during, earlier.details, stored.moment)


def _song_ids(bundle: Bundle, listed: str) -> list[str]:
    from segue.offline.inspection.song_lookup import find_song, split_names

    names = split_names(listed)
    if listed and not names:
        raise click.UsageError(f"{listed!r} names no song")
    return bundle.vocabulary.songs([find_song(bundle, name) for name in names])
