"""The fault harness's parts: how processes end, what repeats with its seed, tears that tear."""

from __future__ import annotations

import signal
from itertools import islice
from random import Random

import pytest

from segue.offline.chaos.evidence import FORGET, GOOD
from segue.offline.chaos.faults.stores import PAGE, TORN_WRITES
from segue.offline.chaos.producer import INVALID, PlaySource
from segue.offline.chaos.runner import generations, schedule
from segue.offline.chaos.supervisor import Exit
from segue.stream.config.settings import load_settings
from segue.stream.messages.records import Record, read_batch

SLEPT = "  sleep(0.1)\nOSError: [Errno 22] Invalid argument\n"
START_MS = 1_700_000_000_000
SOURCE = PlaySource(seed=3, songs=500, listeners=20, start_ms=START_MS, share_forgotten=0.03)


@pytest.mark.parametrize(
    ("ended", "in_order"),
    [
        (Exit("w", 0, 0, ""), True),
        (Exit("w", -9, -9, ""), True),
        (Exit("w", 1, None, "Error: the store is full"), True),
        (Exit("w", 70, None, "The worker ends, so that it is restarted and"), True),
        (Exit("w", 1, None, "Traceback (most recent call last)"), False),
        (Exit("w", 1, None, "lmdb.DiskError: no space left"), False),
        (Exit("w", 1, None, "Error: long ago" + "\nand on" * 9), False),
        (Exit("w", 0, None, ""), False),  # nobody asked it to
        (Exit("w", -9, 0, "Assigned partitions [1]"), False),  # it had to be killed
        (Exit("w", 0, -9, "", asked=True), True),  # it had ended before it was killed
        (Exit("w", 0, -9, ""), False),
        (Exit("w", 1, None, SLEPT), True),
        (Exit("w", 1, None, f"{SLEPT}[2026] [7] [WARNING] late\n[2026] [7] [INFO] so\n"), True),
        (Exit("w", 1, None, f"{SLEPT}[2026] [7] [ERROR] late\nKeyError: 7\n"), False),
        (Exit("w", 1, None, "  open(0.1)\nOSError: [Errno 22] Invalid argument\n"), False),
        (Exit("w", -signal.SIGSEGV, None, ""), False),
        (Exit("w", -signal.SIGTERM, 0, "importing"), True),
        (Exit("w", -signal.SIGTERM, 0, "Assigned partitions [1]"), False),
    ],
)
def test_an_end_is_in_order_where_it_was_asked_for_or_says_why(ended, in_order):
    assert ended.is_in_order == in_order


def test_rebalances_are_counted_once_whoever_tells_of_them(tmp_path):
    reported = (
        "(Re-)joining\nJoined group 'g' (generation {}) by\nJoined group 'g' (generation 7)\n"
    )
    for worker, generation in enumerate((3, 4)):
        (tmp_path / f"{worker}.log").write_text(reported.format(generation))
    found = [generations(log) for log in sorted(tmp_path.iterdir())]
    assert found == [{3, 7}, {4, 7}]


def test_a_seed_repeats_its_schedule_and_its_plays():
    kinds = ["a", "b", "c"]
    assert [*schedule(kinds, 200, 5)] == [*schedule(kinds, 200, 5)] != [*schedule(kinds, 200, 6)]
    assert {one.kind for one in islice(schedule(kinds, 200, 5), 3)} == {*kinds}
    ahead = list(islice(SOURCE.messages(), 300))
    resumed = list(islice(SOURCE.messages(first=100), 50))
    assert resumed == [made for made in ahead if made.number >= 100][:50]


@pytest.mark.parametrize("number", range(len(INVALID)))
def test_what_is_spoilt_is_no_play(number):
    play = SOURCE._play(0, Random(0))
    for seed in range(5):
        record = Record("plays", 0, 0, START_MS, b"", INVALID[number](play, Random(seed)))
        assert read_batch([record], load_settings()).plays == []


def test_what_is_good_is_a_play():
    good = [made for made in islice(SOURCE.messages(), 500) if made.truth == GOOD]
    made = [
        Record("plays", 0, at, START_MS + 10**9, b"", each.value) for at, each in enumerate(good)
    ]
    assert len(read_batch(made, load_settings()).plays) == len(good)


def test_who_asks_to_be_forgotten_is_asked_for():
    asked = [made for made in islice(SOURCE.messages(), 500) if made.truth == FORGET]
    made = [Record("plays", 0, at, START_MS, b"", each.value) for at, each in enumerate(asked)]
    found = read_batch(made, load_settings()).erasures
    assert [one.user_id.encode() for _, one in found] == [each.key for each in asked]
    assert len(found) > 5


@pytest.mark.parametrize("tear", TORN_WRITES, ids=lambda tear: tear.__name__)
def test_every_tear_changes_the_file(tear, tmp_path):
    data = tmp_path / "data.mdb"
    data.write_bytes(Random(0).randbytes(40 * PAGE))
    before = data.read_bytes()
    tear(data, Random(1))
    assert data.read_bytes() != before
