"""Whether a store's file is whole, asked before a worker trusts it, and what happens where not.

python -m segue.stream.state.integrity DIRECTORY    exit status 0: whole, or none; 1: torn, and how

It runs in a process of its own, for LMDB may end the one that reads a torn file. It takes some
seconds for a million listeners.
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
    Databases,
    Rows,
    TornStore,
    checksum,
    seal,
)

logger = logging.getLogger(__name__)
PATIENCE_S = 600
LAST_PAGE_OF_NOTHING = 1  # the two first say where the rest is


def put_aside_if_torn(path: Path) -> bool:
    """Check the store at `path`; one that is torn is moved beside it, as PATH.torn.

    What was put aside before is deleted for it. A worker then begins with nothing, and builds
    all of it anew from the plays topic. Gives whether it was torn.
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
    aside = path.with_name(path.name + ".torn")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    logger.error(
        "The histories in %s are torn: %s. They are put aside as %s and built anew from the plays "
        "topic",
        *(path, said[-1], aside),
    )
    return True


def check_store(path: Path) -> None:
    """Read every row; TornStore or lmdb.Error tells what is wrong with the first that is."""
    with lmdb.open(str(path), readonly=True, max_dbs=4) as env, env.begin() as txn:
        found_format = txn.get(FORMAT_KEY)
        if found_format is None and env.info()["last_pgno"] > LAST_PAGE_OF_NOTHING:
            raise TornStore("it has pages, and tells no format")
        if found_format != FORMAT:
            return  # not for us to judge: whoever opens it says so
        databases = Databases.open(env, txn)
        rows = Rows(txn, databases)
        sums = {partition: ledger.checksums for partition, ledger in rows.ledgers()}
        found: dict[int, int] = defaultdict(int)
        for name in SUMMED:
            entries = 0
            for key, value in rows.walk(name):
                found[PARTITION_NUMBER.unpack_from(key)[0]] += checksum(seal(name, key, value))
                entries += 1
            told = txn.stat(getattr(databases, name))["entries"]
            if entries != told:
                raise TornStore(f"its {name} have {entries} rows, not {told}")
    for partition in sums.keys() | found.keys():
        if found[partition] % 2**64 != sums.get(partition):
            raise TornStore(f"rows of partition {partition} are missing or old")


def main(directory: str) -> None:
    """Check one store."""
    try:
        check_store(Path(directory))
    except (TornStore, lmdb.Error, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
