"""Runs the models over folds and seeds, and keeps every rank, so that a run can resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from segue.models.collaborative.base import TasteConfig
from segue.models.collaborative.interactions import Interactions
from segue.offline.experiments.amnn.models import MODELS, ExperimentModel
from segue.offline.experiments.amnn.protocol import ExperimentError, Fold, Protocol, folds
from segue.offline.experiments.amnn.trainer import candidate_ranks, validation_ndcg

BY_HISTORY = ("amnn", "dnn")
DESCRIPTION = "protocol.json"
CONFIGS = "configs.json"
RANKS = "ranks"


@dataclass(frozen=True)
class Variant:
    """A model at one length of the history, 0 where it looks at none."""

    model: str
    history: int

    @property
    def name(self) -> str:
        """Name it in files and tables."""
        return f"{self.model}-k{self.history}" if self.history else self.model


def variants(names: Sequence[str], histories: Sequence[int]) -> list[Variant]:
    """List what is fitted in each fold: all models, and two of them at every length."""
    default = TasteConfig().history
    table = [Variant(name, default if MODELS[name].trained else 0) for name in names]
    curves = [Variant(name, length) for name in BY_HISTORY if name in names for length in histories]
    return list(dict.fromkeys([*table, *curves]))


class Run:
    """One experiment in one directory.

    protocol.json                 what is measured on what; another protocol is refused
    configs.json                  what each model chose on validation
    ranks/TRIAL-seedS-foldF.npy   the test song's rank for every listener, int16 [U]
    """

    def __init__(
        self,
        directory: Path,
        interactions: Interactions,
        protocol: Protocol,
        device: torch.device,
        *,
        choose: bool,
    ) -> None:
        """choose: let each model choose among its configs, else it takes its default."""
        self.directory = directory
        self.interactions = interactions
        self.protocol = protocol
        self._device = device
        self._choose = choose
        (directory / RANKS).mkdir(parents=True, exist_ok=True)
        self._check_same()
        path = directory / CONFIGS
        self.configs: dict[str, dict[str, Any]] = (
            msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        )
        self.unseen: list[float] = []

    def run(
        self, wanted: Sequence[Variant], on_progress: Callable[[str, int, int], None]
    ) -> Mapping[Variant, NDArray[np.int64]]:
        """Fit what was not fitted before; return ranks int64 [seeds * folds, U] by variant.

        on_progress: called with the current fit, the fits done and all fits.
        """
        ranks: dict[Variant, list[NDArray[np.int64]]] = {variant: [] for variant in wanted}
        total = self.protocol.seeds * self.protocol.folds * len(wanted)
        done = 0
        for seed, number, fold in self._folds():
            self.unseen.append(fold.unseen)
            for variant in wanted:
                doing = f"seed {seed + 1}, fold {number + 1}: {variant.name}"
                on_progress(doing, done, total)
                ranks[variant].append(self._ranks(variant, fold, seed, number))
                done += 1
        on_progress("done", done, total)
        return {variant: np.stack(found) for variant, found in ranks.items()}

    def _folds(self) -> Iterator[tuple[int, int, Fold]]:
        for seed in range(self.protocol.seeds):
            for number, fold in enumerate(folds(self.interactions, self.protocol, seed)):
                yield seed, number, fold

    def _ranks(self, variant: Variant, fold: Fold, seed: int, number: int) -> NDArray[np.int64]:
        path = self.directory / RANKS / f"{variant.name}-seed{seed}-fold{number}.npy"
        if path.exists():
            kept: NDArray[np.int16] = np.load(path, allow_pickle=False)
            return kept.astype(np.int64)
        model = MODELS[variant.model]
        config = self._config(variant.model, model, fold, seed)
        if variant.history:
            config = replace(config, history=variant.history)
        scorer = model.fit(fold, config, seed, self._device)
        ranks = candidate_ranks(scorer, fold.training, fold.test)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, ranks.astype(np.int16), allow_pickle=False)
        part.rename(path)  # whole or not at all: the next run takes what is there
        return ranks

    def _config(self, name: str, model: ExperimentModel, fold: Fold, seed: int) -> Any:
        """Return what was chosen, once, on the validation songs of the first fold."""
        kind = type(model.configs[0])
        if name not in self.configs:
            chosen = model.configs[0]
            if self._choose and len(model.configs) > 1:
                chosen = max(
                    model.configs,
                    key=lambda config: validation_ndcg(
                        model.fit(fold, config, seed, self._device), fold
                    ),
                )
            self.configs[name] = asdict(chosen)
            self._write(CONFIGS, self.configs)
        return msgspec.convert(self.configs[name], kind)

    def _check_same(self) -> None:
        said = {
            **asdict(self.protocol),
            "listeners": len(self.interactions),
            "songs": self.interactions.catalogue,
            "rows": len(self.interactions.counts),
            "plays": int(self.interactions.counts.sum()),
            "chosen_on_validation": self._choose,
        }
        path = self.directory / DESCRIPTION
        if not path.exists():
            self._write(DESCRIPTION, said)
            return
        found = msgspec.json.decode(path.read_bytes())
        different = [name for name in said if found.get(name) != said[name]]
        if different:
            name = different[0]
            raise ExperimentError(
                f"{self.directory} holds results with {name} {found.get(name)!r}, not "
                f"{said[name]!r}: name another --out, or delete that directory"
            )

    def _write(self, name: str, content: object) -> None:
        text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        (self.directory / name).write_bytes(text)
