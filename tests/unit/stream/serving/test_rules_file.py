"""The file of rules: strict, with errors that help, and taken up while a worker runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import segue.stream
from segue.models.recommenders.base import PopularityRecommender, Request
from segue.models.reranking.rules import ListRules
from segue.offline.replay.resume import describe_replay
from segue.offline.replay.sources import OPEN
from segue.offline.replay.variants import variants
from segue.stream.config.settings import load_settings
from segue.stream.observability.metrics import Metrics
from segue.stream.serving.factory import load_recommender, store_config
from segue.stream.serving.rules import (
    RulesError,
    RulesReloader,
    decode_rules,
    load_rules,
    read_rules,
    rules_version,
)

EXAMPLE = Path(segue.stream.__file__).parent / "ops" / "rules.example.toml"
POPULAR = [(-3.0, "a"), (-2.0, "b"), (-1.0, "c")]


def test_the_example_is_read_and_its_comments_tell_the_defaults():
    rules = read_rules(EXAMPLE)
    assert rules.explicit == "hide"
    assert rules.artists.most == 3
    assert rules.heard.minutes == 30
    assert rules.heard.plays is None
    assert rules.diversity.mmr == 0.2
    text = EXAMPLE.read_text()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    shown = "\n".join(line for line in lines if line[:1].islower() or line[:1] == "[")
    uncommented = decode_rules(
        "\n".join(line for line in shown.splitlines() if "=" in line or line[:1] == "[")
    )
    assert uncommented.heard.plays == load_settings().no_repeat_songs


def test_an_empty_file_is_the_one_rule_of_the_settings():
    assert decode_rules("") == ListRules()
    assert decode_rules("").with_default(5).heard.plays == 5
    assert decode_rules("heard.plays = 0").with_default(5).heard.plays == 0


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("artist.most = 2", "there is no rule 'artist': did you mean 'artists'?"),
        ("[artists]\nmosst = 2", "no rule 'artists.mosst': did you mean 'artists.most'?"),
        ("[heard]\nzzz = 2", "known: heard.plays, heard.minutes, heard.session"),
        ("[heard]\nplays = -1", "heard.plays = -1: expected `int` >= 0"),
        ("[heard]\nplays = 2.5", "heard.plays = 2.5: expected `int"),
        ("[released]\nshare = 1.5", "released.share = 1.5: expected `float` <= 1"),
        ("explicit = 'no'", "explicit = 'no': invalid enum value 'no'"),
        ("[songs]\nblock = 'a'", "songs.block = 'a': expected `array`"),
        ("[songs]\nblock = ['a', 3]", "songs.block = ['a', 3]: expected `str`"),
        ("heard = 3", "heard = 3: expected `object`"),
        ("[heard", "cannot be read as TOML"),
    ],
)
def test_mistakes_are_named_with_their_remedy(text, reported):
    with pytest.raises(RulesError) as caught:
        decode_rules(text, "rules.toml")
    assert str(caught.value).startswith("rules.toml: ")
    assert reported in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "rules.toml").write_bytes(b"\xff")
    for path in (tmp_path, tmp_path / "rules.toml", tmp_path / "none"):
        with pytest.raises(RulesError, match="cannot be read"):
            read_rules(path)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("songs.block = ['a']")
    return path


def reloads(metrics, result):
    return metrics.registry.get_sample_value("segue_rules_reloads_total", {"result": result}) or 0


def test_a_change_is_taken_up_and_a_mistake_leaves_the_rules_before(path, caplog):
    metrics = Metrics()
    rules = RulesReloader(load_settings(rules_file=path, no_repeat_songs=0), metrics)
    maker = PopularityRecommender(book=rules.book)

    def songs():
        rules.reload_if_changed()
        [made] = maker.recommend([Request([], POPULAR)])
        return [each.song_id for each in made]

    assert songs() == ["b", "c"]
    path.write_text("songs.block = ['b', 'c']")
    assert songs() == ["a"]
    with caplog.at_level(logging.ERROR):
        path.write_text("songs.blok = ['a']")
        assert songs() == songs() == ["a"]
    assert len(caplog.records) == 1
    assert "songs.block" in caplog.text
    path.unlink()
    assert songs() == ["a"]
    path.write_text("")
    assert songs() == ["a", "b", "c"]
    assert (reloads(metrics, "taken"), reloads(metrics, "refused")) == (2, 2)
    version = {"version": rules_version(ListRules().with_default(0))}
    assert metrics.registry.get_sample_value("segue_rules_info", version) == 1


def test_settings_name_the_files_of_rules_and_of_songs(path, tmp_path):
    path.write_text("artists.most = 1")
    songs = [{"song_id": "a", "artist": "X"}, {"song_id": "b", "artist": "x"}]
    (tmp_path / "songs.jsonl").write_text("\n".join(map(json.dumps, songs)))
    settings = load_settings(
        rules_file=path, songs_file=tmp_path / "songs.jsonl", no_repeat_songs=0
    )
    [made] = load_recommender(settings).recommend([Request([], POPULAR)])
    assert [each.song_id for each in made] == ["a", "c"]
    assert load_rules(load_settings()).rules.heard.plays == load_settings().no_repeat_songs
    # Where rules may hide many popular songs, more of them are looked at.
    assert store_config(settings).popular_list_length > settings.list_length


def test_replay_sets_files_of_rules_side_by_side_and_knows_them_by_what_they_hold(path, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text("songs.block = ['b']")
    chosen = variants([None], [f"rules_file={path},{other}"])
    made = [load_recommender(each.settings).recommend([Request([], POPULAR)]) for each in chosen]
    assert [[each.song_id for each in songs] for [songs] in made] == [["b", "c"], ["a", "c"]]
    reported = describe_replay({}, chosen, OPEN, OPEN)
    other.write_text("songs.block = ['a']")
    assert describe_replay({}, chosen, OPEN, OPEN) != reported
