"""A corrupt store is quarantined before a worker trusts it, however it was corrupted."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from random import Random

import lmdb
import pytest

from segue.offline.chaos.evidence import read_store
from segue.offline.chaos.faults.stores import PAGE, TORN_WRITES
from segue.stream.messages.events import Erasure, Play
from segue.stream.state.codec import FORMAT_KEY, CorruptStore, Databases, Rows, key_of
from segue.stream.state.config import HistoryConfig, StoreConfig
from segue.stream.state.integrity import check_store, quarantine_if_corrupt
from segue.stream.state.store import HistoryStore, StoreError

CONFIG = StoreConfig(HistoryConfig(max_songs=50), recent_plays=300, sync=False)


def plays(first, count):
    chance = Random(first)
    for offset in range(first, first + count):
        user, song = f"u{chance.randrange(60)}", f"s{chance.randrange(200)}"
        yield Play(f"e{offset}", user, song, 10**12 + offset * 1000, offset % 2, offset // 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a store that was written, swept, forgotten in and grown as a worker's is."""
    path = tmp_path_factory.mktemp("whole") / "histories"
    store = HistoryStore(path, CONFIG)
    for first in range(0, 2_000, 100):
        store.append([*plays(first, 100)], {0: 10 + first // 2, 1: first // 2})
    store.erase([Erasure("erasure", "u7", 0, 1_010)])
    late = Play("late", "nobody", "s", 10**12 + 10**11, 1, 1_020)
    store.append([late])
    assert store.sweep() > 0
    store.close()
    check_store(path)
    return path


def content(path):
    found = read_store(path, "")
    return found.positions, found.histories, dict(found.recent)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("tear", TORN_WRITES, ids=lambda tear: tear.__name__)
def test_a_torn_store_is_put_aside_or_was_not_harmed(whole, tear, seed, tmp_path, caplog):
    path = tmp_path / "histories"
    shutil.copytree(whole, path)
    tear(path / "data.mdb", Random(seed))
    corrupt = quarantine_if_corrupt(path)
    assert corrupt == (not path.exists()) == (tmp_path / "histories.corrupt").exists()
    if not corrupt and (path / "data.mdb").stat().st_size:  # an empty file is a new store
        assert content(path) == content(whole)
    assert corrupt == ("rebuilt" in caplog.text)
    store = HistoryStore(path, CONFIG)  # and it opens, for what is there or for a new beginning
    store.append([*plays(2_100, 10)])
    store.close()


def changed(whole, tmp_path, change):
    """Change a copy behind the back of whoever keeps it."""
    path = tmp_path / "changed"
    shutil.copytree(whole, path)
    with lmdb.open(str(path), max_dbs=4) as env:
        databases = Databases.open(env)
        with env.begin(write=True) as txn:
            change(txn, databases, Rows(txn, databases))
    return path


def listener(rows):
    key, value = next(rows.walk("histories"))
    return key, value


def spoil(txn, databases, rows):
    key, value = listener(rows)
    txn.put(key, value[:-1] + b"!", db=databases.histories)


def lose(txn, databases, rows):
    txn.delete(listener(rows)[0], db=databases.histories)


def move(txn, databases, rows):
    key, _ = listener(rows)
    txn.put(key_of(1, "stranger"), txn.get(key, db=databases.histories), db=databases.histories)


def age(txn, databases, rows):
    """Put an older history in a newer one's place, with a checksum that fits it."""
    from segue.stream.state.codec import add_checksum

    key, value = listener(rows)
    txn.put(key, add_checksum("histories", key, value[:-1] + b"\x00"), db=databases.histories)


def rewind(txn, databases, rows):
    rows.enter(0, 1, 1)
    txn.put(
        b"\x00\x00\x00\x01", txn.get(b"\x00\x00\x00\x00", db=databases.ledger), db=databases.ledger
    )


def hide(txn, databases, rows):
    """As where another page stands in the place of the one that tells of format and tables."""
    txn.delete(FORMAT_KEY)


CHANGES = [spoil, lose, move, age, rewind, hide]


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
def test_one_changed_row_is_enough(whole, change, tmp_path):
    path = changed(whole, tmp_path, change)
    with pytest.raises(CorruptStore):
        check_store(path)
    assert quarantine_if_corrupt(path)


def test_a_damaged_row_is_not_served(whole, tmp_path):
    store = HistoryStore(changed(whole, tmp_path, spoil), CONFIG)
    with pytest.raises(CorruptStore, match="Start the worker again"):
        list(store.users())
    store.close()


def test_what_is_whole_or_missing_is_left_alone(whole, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    assert not quarantine_if_corrupt(whole)
    assert not quarantine_if_corrupt(tmp_path / "none")
    assert caplog.text == ""


def test_a_store_that_never_began_is_left_alone(tmp_path):
    lmdb.open(str(tmp_path / "histories")).close()
    assert not quarantine_if_corrupt(tmp_path / "histories")
    HistoryStore(tmp_path / "histories", CONFIG).close()


def test_the_last_torn_store_is_kept(whole, tmp_path):
    path = tmp_path / "histories"
    for number in range(2):
        shutil.copytree(whole, path)
        (path / "data.mdb").write_bytes(bytes([number + 1]) * PAGE)
        assert quarantine_if_corrupt(path)
    assert (tmp_path / "histories.corrupt" / "data.mdb").read_bytes() == b"\x02" * PAGE


def test_another_format_is_for_the_store_to_refuse(whole, tmp_path):
    path = changed(whole, tmp_path, lambda txn, databases, rows: txn.put(FORMAT_KEY, b"2"))
    assert not quarantine_if_corrupt(path)
    with pytest.raises(StoreError, match="format b'2'"):
        HistoryStore(path, CONFIG)


def test_a_full_disk_is_an_error_that_says_so_and_harms_nothing(tmp_path):
    """A limit on the size of files stands for a disk without room."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from segue.stream.state.store import HistoryStore, StoreError\n"
        "from tests.unit.stream.state.test_integrity import CONFIG, plays\n"
        "store = HistoryStore(Path(sys.argv[1]), CONFIG)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    for first in range(0, 100_000, 100):\n"
        "        store.append([*plays(first, 100)])\n"
        "except StoreError as error:\n"
        "    sys.exit(str(error))\n"
    )
    path = tmp_path / "histories"
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert "Make room" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not quarantine_if_corrupt(path)
    store = HistoryStore(path, CONFIG)
    position = store.position(0)
    assert position
    assert position % 50 == 0, "part of a batch was kept"
    store.close()
