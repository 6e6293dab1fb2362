"""A log streamed through what runs live: the same figures however it is cut or spread."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segue.models.recommenders.base import PopularityRecommender
from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.replay.partition import Job, replay_partition
from segue.offline.replay.record_log import JUDGED, PLAY, RecordLog
from segue.offline.replay.runner import ReplayConfig, replay_all
from segue.offline.replay.sources import Bound, LogSource, ReplayError
from segue.offline.replay.summary import FigureConfig, replay_figures
from segue.offline.replay.variants import variants
from segue.stream.config.settings import load_settings
from segue.stream.kafka.partitioner import partition_of
from segue.stream.messages.records import read_batch
from segue.stream.online_eval.prequential import PrequentialEvaluator
from segue.stream.serving.factory import load_recommender, store_config
from segue.stream.serving.pipeline import handle_plays
from segue.stream.state.store import HistoryStore
from tests.support.cli import segue
from tests.support.toy import song, write_toy_bundle

START_MS = 1_700_000_000_000
PLAYS = 1_500
PARTITIONS = 4


def some_plays(count: int = PLAYS, users: int = 30, songs: int = 40, seed: int = 0) -> pl.DataFrame:
    chance = random.Random(seed)
    at, rows = START_MS, []
    for _ in range(count):
        at += chance.choice([1, 60_000, 400_000])
        user, number = f"user-{chance.randrange(users)}", int(chance.triangular(0, songs, 0))
        rows.append((user, None, song(number), at, None, None))
    return pl.DataFrame(rows, PLAYS_SCHEMA, orient="row")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "toy"
    write_toy_bundle(directory, songs=30)
    return directory


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> LogSource:
    return LogSource.write(some_plays(), "log", PARTITIONS, tmp_path_factory.mktemp("plays"))


def settings(**changes):
    return load_settings(**{"batch_max": 64, "list_length": 10, **changes})


def records_of(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.name in ("records.bin", "songs.jsonl", "sources.jsonl")
    }


def run(source, directory, chosen, **options):
    plan = ReplayConfig(source, directory, **options)
    ran, seconds = replay_all(plan, chosen, lambda plays: None)
    return plan, ran, seconds


def figures_of(source, directory, chosen, **options):
    plan, ran, _ = run(source, directory, chosen, **options)
    return replay_figures(plan, ran, FigureConfig(windows=4, replicates=50, flips=50))


def test_ranks_are_those_of_the_live_judge(source, bundle, tmp_path):
    made = settings(bundle=bundle)
    recommender = load_recommender(made)
    judge = PrequentialEvaluator(PopularityRecommender(recommender.config))
    for partition in (0, 1):
        store = HistoryStore(
            tmp_path / f"live-{partition}", replace(store_config(made), sync=False)
        )
        expected = []
        for record in source.records(partition, *source.span(partition, Bound(), Bound())):
            batch = read_batch([record], made)
            reported = handle_plays(batch.plays, batch.next_offsets, store, recommender, now_ms=0)
            expected += [
                (one.rank or 0, one.popularity_rank or 0) for one in judge.observe(*reported)
            ]
        store.close()
        job = Job(made, source, partition, tmp_path / str(partition))
        assert replay_partition(job, recommender, frozenset()).finished
        records = RecordLog(tmp_path / str(partition), 10, 0).read()
        judged = records[(records["flags"] & JUDGED) > 0]
        found = zip(judged["rank"].tolist(), judged["popularity_rank"].tolist(), strict=True)
        assert list(found) == expected
        assert len(expected) > 200
        assert (judged["rank"] > 0).any()


def test_a_replay_that_is_stopped_again_and_again_ends_the_same(source, bundle, tmp_path):
    made = settings(bundle=bundle)
    recommender, known = load_recommender(made), frozenset({song(1), song(2)})
    for name, stopped in (("whole", False), ("cut", True)):
        for partition in range(PARTITIONS):
            job = Job(made, source, partition, tmp_path / name / str(partition), keep=True)
            visits = 1
            while not replay_partition(
                job, recommender, known, stopped=lambda stopped=stopped: stopped
            ).finished:
                visits += 1
            assert visits > 3 if stopped else visits == 1
    assert records_of(tmp_path / "whole") == records_of(tmp_path / "cut")


@pytest.mark.parametrize("lost", ["records", "histories"])
def test_a_crash_between_histories_and_records_leaves_no_trace(source, bundle, tmp_path, lost):
    made = settings(bundle=bundle)
    recommender = load_recommender(made)
    jobs = [Job(made, source, 0, tmp_path / name, keep=True) for name in ("whole", "crashed")]
    replay_partition(jobs[0], recommender, frozenset())
    replay_partition(jobs[1], recommender, frozenset(), stopped=lambda: True)
    if lost == "records":
        file = tmp_path / "crashed" / "records.bin"
        file.write_bytes(file.read_bytes()[: -5 * 1000])
    else:
        (tmp_path / "crashed" / "histories" / "data.mdb").unlink()
    with (tmp_path / "crashed" / "songs.jsonl").open("ab") as file:
        file.write(b'"half a li')
    assert replay_partition(jobs[1], recommender, frozenset()).finished
    assert_same_lists(tmp_path / "whole", tmp_path / "crashed")


def assert_same_lists(first: Path, second: Path) -> None:
    """Songs may be numbered in another order after a crash in mid-batch: names must agree."""
    reported = []
    for directory in (first, second):
        log = RecordLog(directory, 10, 0)
        names = np.array(["", *log.songs.vocabulary.song_ids])
        records = log.read()
        plain = [name for name in records.dtype.names if name not in ("song", "songs")]
        reported.append([names[records["songs"]].tolist(), *(records[n].tolist() for n in plain)])
    assert reported[0] == reported[1]


def test_several_processes_and_any_batch_give_the_same_figures(source, bundle, tmp_path):
    chosen = variants([bundle, None], [], {"list_length": 10, "batch_max": 64})
    here = figures_of(source, tmp_path / "here", chosen)
    beside = figures_of(source, tmp_path / "beside", chosen, processes=2)
    assert json.dumps(here) == json.dumps(beside)
    assert records_of(tmp_path / "here") == records_of(tmp_path / "beside")
    chosen = variants([bundle, None], [], {"list_length": 10, "batch_max": 7})
    assert json.dumps(figures_of(source, tmp_path / "small", chosen)) == json.dumps(here)


def test_what_comes_before_a_range_builds_up_histories_and_is_not_judged(source, bundle, tmp_path):
    made = settings(bundle=bundle)
    recommender = load_recommender(made)
    whole, part = (
        Job(made, source, 1, tmp_path / "whole"),
        Job(
            made,
            source,
            1,
            tmp_path / "part",
            begin=Bound.parse(["1:100"]),
            end=Bound.parse(["1:150"]),
        ),
    )
    replay_partition(whole, recommender, frozenset())
    replay_partition(part, recommender, frozenset())
    all_of_it, some = RecordLog(tmp_path / "whole", 10, 0), RecordLog(tmp_path / "part", 10, 100)
    assert some.count == 50
    wanted, found = all_of_it.read()[100:150], some.read()
    assert found["scores"].tolist() == wanted["scores"].tolist()
    assert names(some, found["songs"]) == names(all_of_it, wanted["songs"])
    judged = (found["flags"] & JUDGED) > 0
    assert 0 < judged.sum() < 50
    assert found["rank"][judged].tolist() == wanted["rank"][judged].tolist()


def names(log: RecordLog, songs) -> list[list[str]]:
    return np.array(["", *log.songs.vocabulary.song_ids])[songs].tolist()


def test_a_log_lies_in_partitions_as_a_producer_would_lay_it(source):
    plays = some_plays()
    for partition in range(PARTITIONS):
        first, end = source.span(partition, Bound(), Bound())
        records = list(source.records(partition, first, end))
        assert [record.offset for record in records] == list(range(end))
        users = [record.key.decode() for record in records]
        assert {partition_of(user, PARTITIONS) for user in users} == {partition}
        assert plays["user_id"].gather(source.rows(partition)).to_list() == users
    assert sum(source.span(p, Bound(), Bound())[1] for p in range(PARTITIONS)) == PLAYS


def test_a_play_that_would_be_rejected_is_no_play_and_keeps_its_offset(bundle, tmp_path):
    plays = some_plays(20, users=1)
    bad = plays.with_columns(
        song_id=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("x" * 300)).otherwise("song_id")
    )
    source = LogSource.write(bad, "log", 1, tmp_path / "plays")
    job = Job(settings(bundle=bundle), source, 0, tmp_path / "job")
    assert replay_partition(job, load_recommender(job.settings), frozenset()).rejected == 1
    flags = RecordLog(tmp_path / "job", 10, 0).read()["flags"]
    assert (flags & PLAY == 0).nonzero()[0].tolist() == [7]
    assert (flags & JUDGED > 0).sum() == 18


def test_figures_worked_out_by_hand(tmp_path):
    """One listener; popularity: a, then [a], then [b, a] and so on, nothing just heard excluded."""
    at = [START_MS + 60_000 * minute for minute in range(4)]
    rows = [("u", None, s, t, None, None) for s, t in zip("abab", at, strict=True)]
    source = LogSource.write(pl.DataFrame(rows, PLAYS_SCHEMA, orient="row"), "log", 1, tmp_path)
    chosen = variants([None], ["no_repeat_songs=0"])
    found = figures_of(source, tmp_path / "run", chosen)
    # Lists: [a], [b, a], [a, b], each judged by the next play: b is missed, a is second, b second.
    assert found["judged"] == 3
    assert found["hit_rate_at_20"] == pytest.approx(2 / 3)
    assert found["mrr_at_20"] == pytest.approx((0 + 1 / 2 + 1 / 2) / 3)
    assert found["ci"] is None  # one listener: nothing to draw from
    assert found["coverage_at_20"] == 1.0
    assert found["heard_share_of_lists"] == 1.0
    assert found["heard_share_of_plays"] == 0.5
    assert found["slices"]["answer"].keys() == {"in the session", "new to the listener"}
    assert found["popularity"]["hit_rate_at_20"] == pytest.approx(2 / 3)
    assert found["windows"]["judged"] == [1, 2, 2, 2] or sum(found["windows"]["judged"]) <= 6


def test_the_command_writes_figures_and_report_that_repeat_to_the_byte(bundle, tmp_path):
    file = write_log(some_plays(600), tmp_path)
    reported = []
    for name in ("one", "two"):
        out, figures = tmp_path / name, tmp_path / f"{name}.json"
        result = segue(
            "replay",
            *("--plays", file, "--bundle", bundle, "--set", "session_gap_s=60,1800"),
            *("--compare", "popularity", "--out", out, "--json", figures, "--windows", "3"),
        )
        assert result.exit_code == 0, result.output
        reported.append({one.name: one.read_bytes() for one in out.iterdir()})
        written = json.loads(figures.read_text())
        others = [written[name] for name in written["_data"]["variants"][1:]]
        assert len(others) == 3
        for found in (written, *others, written["popularity"]):
            assert found["hit_rate_at_20"] > found["mrr_at_20"] > 0
            assert 0 < found["coverage_at_20"] <= 1
            assert found["plays_per_s"] > 0
    assert reported[0] == reported[1]
    assert {"report.md", "report.html", "figures.json", "settings.png"} <= reported[0].keys()


def write_log(plays: pl.DataFrame, directory: Path) -> Path:
    file = directory / "plays.csv"
    times = pl.from_epoch("played_at_ms", "ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    plays.select("user_id", "song_id", times.alias("played_at")).write_csv(file)
    return file


def test_a_kept_replay_goes_on_with_nothing_but_itself(bundle, tmp_path):
    file = write_log(some_plays(300), tmp_path)
    words = ("--plays", file, "--bundle", bundle, "--state", tmp_path / "state")
    first, again = segue("replay", *words), segue("replay", *words)
    assert first.exit_code == again.exit_code == 0, again.output
    other = segue("replay", *words, "--set", "no_repeat_songs=1")
    assert other.exit_code == 1
    assert "holds a replay of other variants" in other.output


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["--bundle", "B"], "give one of --plays, --world and --topic"),
        (["--plays", "P", "--set", "group_id=x"], "lists depend on list_length"),
        (["--plays", "P", "--set", "candidates"], "is not of the form name=value"),
        (["--plays", "P", "--set", "list_length=none"], "list_length = 'none'"),
        (["--plays", "P", "--compare", "nowhere"], "no such bundle"),
        (["--plays", "P", "--from", "yesterday"], "is neither a time such as"),
        (["--plays", "P", "--from", "2026-01-01"], "names no time zone"),
        (["--plays", "P", "--from", "2026-01-01T00:00Z", "--from", "0:1"], "give one time, or"),
        (["--plays", "P", "--to", "1971-01-01T00:00Z"], "no play was judged"),
    ],
)
def test_a_slip_is_answered_in_one_line(words, reported, bundle, tmp_path):
    file = write_log(some_plays(20), tmp_path)
    result = segue("replay", *({"B": bundle, "P": file}.get(word, word) for word in words))
    assert result.exit_code in (1, 2)
    assert reported in result.output
    assert not isinstance(result.exception, ReplayError)
