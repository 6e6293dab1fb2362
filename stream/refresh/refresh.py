"""One refresh: a bundle and the sessions since, to a new bundle that is accepted or set aside."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from segue.models.base import NextSongModel
from segue.models.bundles.bundle import Bundle, Manifest, read_bundle, write_bundle
from segue.models.data.catalogue import SongDetails
from segue.models.gru.scorer import GRUNextSong
from segue.models.hybrid.model import HybridNextSong
from segue.models.refresh.bundle_refresh import NewPlays, Refreshed, extended, refresh_bundle
from segue.models.refresh.embedding_refresh import Drift, RefreshConfig
from segue.models.registry import model_of
from segue.models.retrieval.ann_index import ItemIndex
from segue.stream.refresh.guardrails import GuardRails, Verdict, check_refreshed
from segue.stream.refresh.sessions import Session
from segue.stream.refresh.training_data import number_plays
from segue.stream.serving.model_registry import ModelVersion

DAY_MS = 86_400_000
REFUSED = "refused"
REASON = "reason.json"
CANDIDATE = ".candidate"


@dataclass(frozen=True)
class RefreshPlan:
    """How bundles are refreshed. held_back: validation split, the newest share of new sessions.

    They are learned by the next refresh. mixed: learned sessions mixed in, as a multiple of the
    new ones. half_life_days: after which a play counts half. least_sessions: fewer new ones are
    not worth a bundle. least_plays: of a song, before it has a number; until then recent plays
    alone speak for it. Waiting spares known songs rows that were learned from next to nothing,
    and costs new songs what neighbours would say of them (docs/results/freshness.md).
    """

    vectors: RefreshConfig = field(default_factory=RefreshConfig)
    rails: GuardRails = field(default_factory=GuardRails)
    held_back: float = 0.1
    mixed: float = 1.0
    half_life_days: float = 60.0
    least_sessions: int = 20
    least_plays: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.least_sessions >= 2:
            raise ValueError(f"least_sessions must be >= 2, got {self.least_sessions!r}")
        if not self.least_plays >= 1:
            raise ValueError(f"least_plays must be >= 1, got {self.least_plays!r}")
        if not 0 <= self.held_back <= 0.5:
            raise ValueError(f"held_back must be >= 0 and <= 0.5, got {self.held_back!r}")
        if not self.mixed >= 0:
            raise ValueError(f"mixed must be >= 0, got {self.mixed!r}")
        if not self.half_life_days > 0:
            raise ValueError(f"half_life_days must be > 0, got {self.half_life_days!r}")


@dataclass(frozen=True)
class Outcome:
    """What came of one refresh. learned_ms: up to which the bundle in force has learned by now.

    seconds, cpu_s: of this process, other threads' work at the time included.
    """

    before: str
    served: ModelVersion | None
    learned_ms: int
    plays: int
    new_songs: int
    drift: Drift | None
    verdict: Verdict
    seconds: float
    cpu_s: float

    @property
    def accepted(self) -> bool:
        """Whether there is a bundle to announce."""
        return not self.verdict.problems

    def facts(self) -> dict[str, Any]:
        """Return the outcome as one JSON object."""
        return {**asdict(self), "accepted": self.accepted}


def learned_ms(manifest: Manifest) -> int:
    """Return the time up to which a bundle has learned; 0 where its training had no clock."""
    return int(manifest.training.get("to_ms") or 0)


def refresh(
    root: Path,
    directory: Path,
    sessions: Sequence[Session],
    kept: Sequence[Session],
    plan: RefreshPlan,
    details: Mapping[str, SongDetails] | None = None,
) -> Outcome | None:
    """Refresh the bundle in `directory` by newer sessions, in the order of their ends.

    kept: learned sessions that are remembered. details: what is known of songs by now, beside
    what the bundle knows. An accepted bundle stands below `root` as <kind>/<version>; a refused
    one as refused/<version> with the reason beside it. None: there is too little to learn from.
    The same input gives the same bundle. Raises BundleError where `directory` holds none that
    can be refreshed, SkipGramError where its vectors cannot learn from the sessions.
    """
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    if len(sessions) < plan.least_sessions:
        return None
    learn, held_back = _split(sessions, plan.held_back)
    bundle = _with_details(read_bundle(directory, kind=None), details or {})
    to_ms = learn[-1].end_ms
    seed = plan.seed + to_ms % 2**31
    plays = number_plays(
        extended(bundle),
        learn,
        kept,
        least_plays=plan.least_plays,
        mixed=int(len(sessions) * plan.mixed),
        share=share_left(bundle.manifest, to_ms, plan.half_life_days),
        seed=seed,
    )
    if not len(plays.sessions):
        return None
    kind, made = bundle.manifest.kind, refresh_bundle(bundle, plays, plan.vectors, seed=seed)
    after = model_of(replace(bundle, weights=made.weights, vocabulary=made.songs, index=None))
    verdict = check_refreshed(plan.rails, model_of(bundle), after, made, held_back)
    manifest = _write(root / CANDIDATE, bundle, made, plays, to_ms, verdict, _codes(after))
    accepted = not verdict.problems
    outcome = Outcome(
        bundle.manifest.version,
        ModelVersion(manifest.version, f"{kind}/{manifest.version}") if accepted else None,
        to_ms if accepted else learned_ms(bundle.manifest),
        len(plays.sessions.sessions.values),
        len(made.songs) - len(bundle.vocabulary),
        made.drift,
        verdict,
        time.monotonic() - began_s,
        time.process_time() - began_cpu_s,
    )
    _put(root, root / CANDIDATE, manifest, outcome)
    return outcome


def _split(
    sessions: Sequence[Session], held_back: float
) -> tuple[Sequence[Session], Sequence[Session]]:
    """Part the sessions at one moment, so that what is learned has one mark in time."""
    count = len(sessions) - int(len(sessions) * held_back)
    while 0 < count < len(sessions) and sessions[count].end_ms == sessions[count - 1].end_ms:
        count += 1
    return sessions[:count], sessions[count:]


def _with_details(bundle: Bundle, details: Mapping[str, SongDetails]) -> Bundle:
    """Update a bundle's song details with the newest ones."""
    return replace(bundle, details={**bundle.details, **details}) if details else bundle


def share_left(manifest: Manifest, to_ms: int, half_life_days: float) -> float:
    """Return the share of a play count that is left of what it was when the bundle was made."""
    before_ms = learned_ms(manifest)
    gone_days = (to_ms - before_ms) / DAY_MS if before_ms else 0.0
    return float(2.0 ** -(max(gone_days, 0.0) / half_life_days))


def _write(
    candidate: Path,
    bundle: Bundle,
    made: Refreshed,
    plays: NewPlays,
    to_ms: int,
    verdict: Verdict,
    index: bytes | None,
) -> Manifest:
    shutil.rmtree(candidate, ignore_errors=True)  # of a refresh that was killed
    training = bundle.manifest.training
    count = len(plays.sessions.sessions.values)
    return write_bundle(
        candidate,
        kind=bundle.manifest.kind,
        config=bundle.manifest.config,
        weights=made.weights,
        vocabulary=made.songs,
        titles=bundle.titles,
        details=bundle.details,
        training={
            **training,
            "plays": int(training.get("plays") or 0) + count,
            "songs": len(made.songs),
            "to_ms": to_ms,
            "refreshes": int(training.get("refreshes") or 0) + 1,
            "refreshed_from": bundle.manifest.version,
        },
        metrics={} if verdict.after is None else {"hit_rate_at_20": verdict.after},
        index=index,
    )


def _codes(model: NextSongModel) -> bytes | None:
    """Return the file of the index that workers find songs by; None where they build none."""
    if isinstance(model, HybridNextSong):
        return model.parts.gru.index.content()
    return ItemIndex(model.song_vectors()).content() if isinstance(model, GRUNextSong) else None


def _put(root: Path, candidate: Path, manifest: Manifest, outcome: Outcome) -> None:
    """Move the candidate to its place; one that a crash left there is the same bundle."""
    kind = manifest.kind if outcome.accepted else REFUSED
    place = root / kind / manifest.version
    place.parent.mkdir(parents=True, exist_ok=True)
    if not outcome.accepted:
        reason = {"reason": "; ".join(outcome.verdict.problems), **outcome.facts()}
        (candidate / REASON).write_text(json.dumps(reason, indent=2) + "\n", encoding="utf-8")
    if place.exists():
        shutil.rmtree(candidate)
    else:
        candidate.rename(place)
