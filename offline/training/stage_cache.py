"""Cache of finished stages of a long training, next to its output directory.

The same command after an interruption resumes from it: a stage is found by a hash over all its
inputs, and trained again where anything differs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

FACTS = "facts"


class StageCache:
    """Tensors by stage, in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def next_to(cls, out: Path) -> StageCache:
        """Return the cache of a training whose bundle is written to `out`."""
        return cls(out.with_name(f".{out.name}.unfinished"))

    def once(
        self, key: str, train: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what `train` returns: tensors by name, and facts as plain values.

        A stage that was finished under this key is read instead. A file that cannot be read, as
        a crash may leave one, is written anew.
        """
        file = self.directory / f"{key}.safetensors"
        try:
            with safetensors.safe_open(str(file), "pt") as kept:
                encoded = msgspec.json.decode(kept.metadata()[FACTS])
                return {name: kept.get_tensor(name) for name in kept.keys()}, encoded  # noqa: SIM118
        except (OSError, safetensors.SafetensorError, KeyError, msgspec.DecodeError):
            pass
        tensors, facts = train()
        self.directory.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        encoded = msgspec.json.encode(facts).decode()
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, fresh, {FACTS: encoded}
        )
        os.replace(fresh, file)
        return dict(tensors), dict(facts)

    def clear(self) -> None:
        """Forget them: what they were for is done."""
        shutil.rmtree(self.directory, ignore_errors=True)


def stage_key(name: str, arrays: Iterable[NDArray[Any]], settings: Any) -> str:
    """Name a stage by all that went into it: arrays, and settings that JSON can hold."""
    digest = hashlib.sha256(msgspec.json.encode(settings, order="deterministic"))
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return f"{name}-{digest.hexdigest()[:16]}"
