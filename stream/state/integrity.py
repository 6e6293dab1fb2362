"""The check of a store before a worker trusts it, and the quarantine of a corrupt one.

python -m segue.stream.state.integrity DIRECTORY    exit status 0: whole or absent; 1: corrupt

It runs in a process of its own, because LMDB may crash the one that reads a corrupt file. It
takes some seconds for a million listeners.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import lmdb

from segue.stream.state.codec import (
    FORMAT,
    FORMAT_KEY,
    PARTITION_NUMBER,
    SUMMED,
    CorruptStore,
    Databases,
    Rows,
    add_checksum,
    checksum,
)

logger = logging.getLogger(__name__)
PATIENCE_S = 600
LAST_PAGE_OF_NOTHING = 1  # the two first say where the rest is


def quarantine_if_corrupt(path: Path) -> bool:
    """Check the store at `path`; move a corrupt one into quarantine, as PATH.corrupt.

    It replaces an earlier one there. The worker then begins with an empty store and rebuilds it
    from the plays topic. Returns whether the store was corrupt.
    """
    if not (path / "data.mdb").exists():
        return False
    checked = subprocess.run(
        [sys.executable, "-m", "segue.stream.state.integrity", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if checked.returncode == 0:
        return False
    said = checked.stderr.strip().splitlines() or [f"its reader ended with {checked.returncode}"]
    quarantine = path.with_name(path.name + ".corrupt")
    shutil.rmtree(quarantine, ignore_errors=True)
    path.rename(quarantine)
    logger.error(
        "The histories in %s are corrupt: %s. They are quarantined as %s and rebuilt from the "
        "plays topic",
        *(path, said[-1], quarantine),
    )
    return True


def check_store(path: Path) -> None:
    """Read every row; CorruptStore or lmdb.Error names the first that is wrong."""
    with lmdb.open(str(path), readonly=True, max_dbs=4) as env, env.begin() as txn:
        found_format = txn.get(FORMAT_KEY)
        if found_format is None and env.info()["last_pgno"] > LAST_PAGE_OF_NOTHING:
            raise CorruptStore("it has pages and no format")
        if found_format != FORMAT:
            return  # HistoryStore refuses it
        databases = Databases.open(env, txn)
        rows = Rows(txn, databases)
        sums = {partition: metadata.checksums for partition, metadata in rows.all_metadata()}
        found: dict[int, int] = defaultdict(int)
        for name in SUMMED:
            entries = 0
            for key, value in rows.walk(name):
                found[PARTITION_NUMBER.unpack_from(key)[0]] += checksum(
                    add_checksum(name, key, value)
                )
                entries += 1
            counted = txn.stat(getattr(databases, name))["entries"]
            if entries != counted:
                raise CorruptStore(f"its {name} have {entries} rows, not {counted}")
    for partition in sums.keys() | found.keys():
        if found[partition] % 2**64 != sums.get(partition):
            raise CorruptStore(f"rows of partition {partition} are missing or old")


def main(directory: str) -> None:
    """Check one store."""
    try:
        check_store(Path(directory))
    except (CorruptStore, lmdb.Error, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
