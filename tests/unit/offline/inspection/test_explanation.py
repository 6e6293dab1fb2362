"""`segue recommend`: the list that is published, and a true account of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from segue.models.bundles.bundle import read_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.ranking.schema import CANDIDATE_FEATURES, CONTEXT_FEATURES
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.registry import recommender_of
from segue.offline.inspection.explanation import MODELS
from segue.stream.messages.events import Play
from segue.stream.messages.songs import encode_song
from segue.stream.state.config import HistoryConfig, StoreConfig
from segue.stream.state.snapshot import UnknownListener, read_listener
from segue.stream.state.store import HistoryStore, StoreError
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

MINUTE = 60_000


@pytest.fixture
def explained(tmp_path: Path):
    def explained(*arguments: object) -> tuple[dict[str, Any], str]:
        file = tmp_path / "explained.json"
        run = segue("recommend", *arguments, "--json", file)
        assert run.exit_code == 0, run.output
        return json.loads(file.read_text()), run.output

    return explained


def published(directory: Path, request: Request, length: int) -> list[dict[str, Any]]:
    recommender = recommender_of(read_bundle(directory, kind=None), RecommenderConfig(length))
    [songs] = recommender.recommend([request])
    return [
        {
            "song_id": each.song_id,
            "score": each.score,
            "sources": list(each.sources),
            "because": [{"song_id": why.song_id, "weight": why.weight} for why in each.because],
        }
        for each in songs
    ]


def test_a_hybrid_s_list_is_the_one_that_is_published(hybrid_bundle, explained):
    reported, output = explained(
        *("--bundle", hybrid_bundle, "--history", song(9), "-n", 5),
        *("--songs", f"{song(5)}, {song(2)}"),
    )
    wanted = published(hybrid_bundle, Request([song(5), song(2)], (), [song(9)]), 5)
    listed = [each for each in reported["songs"] if each["place"] is not None]
    assert [{name: each[name] for name in wanted[0]} for each in listed] == wanted
    assert [each["place"] for each in listed] == [1, 2, 3, 4, 5]
    assert song(3) in output
    assert "█" in output


def test_each_candidate_tells_every_feature_and_every_model(hybrid_bundle, explained):
    reported, _ = explained("--bundle", hybrid_bundle, "--songs", song(2), "-n", 5, "--all")
    assert set(reported["listener"]) == set(CONTEXT_FEATURES)
    for each in reported["songs"]:
        assert set(each["features"]) == set(CANDIDATE_FEATURES)
        assert set(each["models"]) == set(MODELS)
        for name in ("gru", "neighbours", "rules", "tree"):
            # A retriever that put the song forward is one of its sources, and no other is.
            rank = each["models"][name]["rank"]
            assert (rank is not None) == (name in each["sources"])
            place = each["features"][f"{name}_rank"]
            assert place == pytest.approx(1 / rank if rank else 0)
        assert each["features"]["gru"] == pytest.approx(math.log(each["models"]["gru"]["share"]))
    attention = sorted(reported["songs"], key=lambda each: each["models"]["amnn"]["rank"])
    shares = [each["models"]["amnn"]["share"] for each in attention]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    # The scores are logarithms of shares among all the candidates.
    assert sum(math.exp(each["score"]) for each in reported["songs"]) == pytest.approx(1, abs=1e-3)


def test_what_a_rule_left_out_is_named_with_the_rule(hybrid_bundle, explained):
    arguments = ("--bundle", hybrid_bundle, "--songs", f"{song(2)},{song(4)}", "-n", 5)
    reported, output = explained(*arguments)
    removed = {
        each["song_id"]: each["removed_by"] for each in reported["songs"] if not each["place"]
    }
    assert removed == {song(4): "heard.plays"}
    assert output.count("heard.plays") == 1
    everything, _ = explained(*arguments, "--all")
    assert len(everything["songs"]) > 6
    assert len({each["song_id"] for each in everything["songs"]}) == len(everything["songs"])


def test_rules_of_a_file_are_named_and_the_list_is_the_published_one(
    hybrid_bundle, tmp_path, explained
):
    rules, songs = tmp_path / "rules.toml", tmp_path / "songs.jsonl"
    songs.write_bytes(
        b"".join(encode_song(song(n), SongDetails(artist=f"{n // 4}")) + b"\n" for n in range(40))
    )
    free, _ = explained("--bundle", hybrid_bundle, "--songs", song(5), "-n", 3)
    best = free["songs"][0]["song_id"]
    rules.write_text(f"songs.block = ['{best}']\nartists.most = 1\nheard.session = true")
    reported, output = explained(
        *("--bundle", hybrid_bundle, "--songs", f"{song(5)},{song(2)}", "-n", 5),
        *("--rules", rules, "--catalogue", songs),
    )
    removed = {
        each["song_id"]: each["removed_by"] for each in reported["songs"] if not each["place"]
    }
    assert (removed[song(2)], removed[song(5)]) == ("heard.plays", "heard.session")
    assert removed[best] == "songs.block"
    assert set(removed.values()) == {"heard.plays", "heard.session", "songs.block", "artists.most"}
    listed = [each["song_id"] for each in reported["songs"] if each["place"]]
    assert len({int(name.removeprefix("song-")) // 4 for name in listed}) == len(listed)
    assert "artists.most" in output


def test_a_gru_tells_scores_and_reasons(tmp_path, explained):
    titles = {song(0): ("Vitamin C", "Can"), song(1): ("[b]", "")}
    write_toy_bundle(tmp_path / "gru", titles=titles)
    reported, output = explained("--bundle", tmp_path / "gru", "--songs", "vitamin", "-n", 3)
    assert reported["session"] == [{"song_id": song(0), "title": "Vitamin C", "artist": "Can"}]
    wanted = published(tmp_path / "gru", Request([song(0)], ()), 3)
    listed = [each for each in reported["songs"] if each["place"]]
    assert [{name: each[name] for name in wanted[0]} for each in listed] == wanted
    for each in reported["songs"]:
        assert each["models"]["gru"]["share"] == pytest.approx(math.exp(each["score"]))
        assert each["features"] == {}
    assert "Vitamin C - Can" in output


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = HistoryStore(tmp_path / "data" / "histories")
    played = [("u", 2, 0), ("u", 9, 1), ("v", 7, 2), ("u", 4, 90), ("u", 6, 91)]
    store.append(
        [
            Play(str(offset), user, song(number), minute * MINUTE, 0, offset)
            for offset, (user, number, minute) in enumerate(played)
        ]
    )
    # The number of partitions was changed: what went to partition 1 is older.
    store.append([Play("old", "u", song(1), 0, 1, 0)])
    store.close()
    return tmp_path / "data"


def test_a_listener_is_read_as_the_worker_knows_them(hybrid_bundle, store, explained, monkeypatch):
    monkeypatch.setenv("SEGUE_DATA_DIR", str(store))
    before = (store / "histories" / "data.mdb").read_bytes()
    reported, _ = explained("--bundle", hybrid_bundle, "--user", "u", "--songs", song(8), "-n", 4)
    assert [each["song_id"] for each in reported["history"]] == [song(2), song(9)]
    assert [each["song_id"] for each in reported["session"]] == [song(4), song(6), song(8)]
    assert (store / "histories" / "data.mdb").read_bytes() == before


def test_the_stored_listener_is_what_the_store_tells_at_a_play(tmp_path):
    path, config = tmp_path / "histories", StoreConfig(HistoryConfig(), popular_list_length=2)
    store = HistoryStore(path, config)
    plays = [Play(str(k), "u", song(k % 3), k * 10 * MINUTE, 5, k) for k in range(8)]
    reported = store.append([*plays, Play("8", "u", song(4), 200 * MINUTE, 5, 8)])[-1]
    store.close()
    found = read_listener(path, "u", config)
    assert found.history == (reported.history, reported.history_details)
    assert found.session == (reported.session, reported.session_details)
    assert [song_id for _, song_id in found.popular] == [song_id for _, song_id in reported.popular]


def test_a_listener_of_unknown_songs_gets_what_is_popular(tmp_path, explained, monkeypatch):
    write_toy_bundle(tmp_path / "gru")
    store = HistoryStore(tmp_path / "histories")
    store.append([Play("0", "u", "new", 0, 0, 0), Play("1", "v", song(2), 0, 0, 1)])
    store.close()
    monkeypatch.setenv("SEGUE_DATA_DIR", str(tmp_path))
    reported, output = explained("--bundle", tmp_path / "gru", "--user", "u", "-n", 2)
    assert not reported["known"]
    assert [each["sources"] for each in reported["songs"]] == [["popularity"]] * 3
    assert [each["removed_by"] for each in reported["songs"]] == [None, None, "heard.plays"]
    assert reported["songs"][0]["song_id"] == song(2)
    assert "popularity fallback" in output


def test_without_a_store_or_a_listener_it_says_what_to_do(store, tmp_path):
    with pytest.raises(StoreError, match="SEGUE_DATA_DIR, or run `segue worker`"):
        read_listener(tmp_path / "none", "u", StoreConfig())
    assert not (tmp_path / "none").exists()
    with pytest.raises(UnknownListener, match="no plays of 'w'"):
        read_listener(store / "histories", "w", StoreConfig())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--user, --songs or --history"),
        (["--songs", ","], "names no song"),
        (["--user", "u", "--history", "a"], "leave --history out"),
        (["--songs", "never heard of"], "no song with the id or title 'never heard of'"),
        (["--songs", song(1), "-n", "100"], "candidates"),
    ],
)
def test_mistakes_are_named(hybrid_bundle, arguments, named):
    run = segue("recommend", "--bundle", hybrid_bundle, *arguments)
    assert run.exit_code in (1, 2)
    assert named in " ".join(run.output.split())
