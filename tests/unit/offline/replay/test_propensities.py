"""What showing the replayed lists would have earned, in a world where that is known."""

from __future__ import annotations

import random

import polars as pl
import pytest

from segue.offline.datasets.play_log import PLAYS_SCHEMA
from segue.offline.replay.propensities import read_shown
from segue.offline.replay.record_log import RecordLog
from segue.offline.replay.runner import ReplayConfig, replay_all
from segue.offline.replay.sources import LogSource, ReplayError
from segue.offline.replay.summary import FigureConfig, replay_figures
from segue.offline.replay.variants import variants
from tests.support.cli import segue

SONGS = [f"s{number}" for number in range(6)]
SLOTS = 2
START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    chance = random.Random(0)
    heard = chance.choices(SONGS, [1, 1, 2, 3, 5, 8], k=6_000)  # the best are the most popular
    rows = [
        (f"u{chance.randrange(200)}", None, song_id, START_MS + n * 1000, None, None)
        for n, song_id in enumerate(heard)
    ]
    directory = tmp_path_factory.mktemp("replay")
    plays = pl.DataFrame(rows, PLAYS_SCHEMA, orient="row")
    return ReplayConfig(LogSource.write(plays, "log", 1, directory / "plays"), directory)


@pytest.fixture(scope="module")
def ran(plan):
    return replay_all(plan, variants([None], ["no_repeat_songs=1"]), lambda plays: None)[0]


def reward_of(song_id: str) -> float:
    return 0.1 + 0.15 * int(song_id.removeprefix("s"))


def shown_to(plan) -> tuple[pl.DataFrame, float]:
    """Show songs by a skewed policy; give the log, and the true reward of the lists' songs."""
    chance = random.Random(1)
    log = RecordLog(plan.place(0, 0), 20, 0)
    names = ["", *log.songs.vocabulary.song_ids]
    weights = [6, 5, 4, 3, 2, 1]
    rows, earned = [], []
    for offset, record in enumerate(log.read()):
        song_id = chance.choices(SONGS, weights)[0]
        propensity = weights[SONGS.index(song_id)] / sum(weights)
        reward = float(chance.random() < reward_of(song_id))
        rows.append((0, offset, song_id, propensity, reward))
        first = [names[number] for number in record["songs"][:SLOTS].tolist() if number]
        earned.append(sum(map(reward_of, first)) / len(first) if first else 0.0)
    columns = ["partition", "offset", "song_id", "propensity", "reward"]
    return pl.DataFrame(rows, columns, orient="row"), sum(earned) / len(earned)


def test_estimates_find_what_the_lists_would_have_earned(plan, ran):
    shown, truth = shown_to(plan)
    stray = pl.DataFrame(
        [(0, 10**6, "s1", 0.5, 1.0), (7, 0, "s1", 0.5, 1.0)], shown.schema, orient="row"
    )
    config = FigureConfig(shown=pl.concat([shown, stray]), slots=SLOTS, replicates=10, flips=10)
    reported = replay_figures(plan, ran, config)["counterfactual"]
    assert (reported["shown"], reported["left_out"], reported["slots"]) == (6_000, 2, SLOTS)
    assert abs(reported["logged_reward"] - truth) > 0.2
    for kind in ("ips", "snips", "dr"):
        low, high = reported[kind]["ci"]
        assert low - 0.01 < truth < high + 0.01, kind
        assert high - low < 0.12
    assert 500 < reported["effective_samples"] < 6_000


def test_the_command_takes_and_tells_them(plan, ran, tmp_path):
    shown, _ = shown_to(plan)
    file, log = tmp_path / "shown.csv", tmp_path / "plays.csv"
    shown.head(20).write_csv(file)
    lines = [f"u{n % 3},{SONGS[n % 5]},{1_700_000_000 + 60 * n}" for n in range(60)]
    log.write_text("\n".join(["user_id,song_id,played_at", *lines]) + "\n")
    words = ["replay", "--plays", str(log), "--propensities", str(file), "--slots", "3"]
    result = segue(*words, "--partitions", "1")
    assert result.exit_code == 0, result.output
    assert "from 20 shown songs worth" in result.output


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("partition,offset,song_id,reward\n0,1,s,1\n", "no column propensity"),
        ("partition,offset,song_id,propensity,reward\n0,1,s,,1\n", "a value is missing"),
        ("partition,offset,song_id,propensity,reward\n0,first,s,0.5,1\n", "cannot be read"),
    ],
)
def test_a_log_that_lacks_something_is_refused(text, reported, tmp_path):
    file = tmp_path / "shown.csv"
    file.write_text(text)
    with pytest.raises(ReplayError, match=reported):
        read_shown(file)
