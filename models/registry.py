"""The registry of bundle kinds: the model that a bundle holds, and the recommender that serves it.

A new kind is one entry of `KINDS`; every entry keeps the contract of
tests/unit/models/test_registry.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from segue.models.attention.scorer import CandidateAttentionNextSong
from segue.models.audio.network import AudioNetwork
from segue.models.base import HasSongVectors, NextSongModel
from segue.models.bundles.bundle import Bundle, BundleError, read_bundle
from segue.models.data.play_buffer import BufferSnapshot, RecentPlays
from segue.models.gru.scorer import GRUNextSong
from segue.models.hybrid.model import HybridNextSong
from segue.models.item2vec.scorer import SkipGramNextSong
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.recommenders.gru import GRURecommender
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.recommenders.two_stage import RankedRecommender
from segue.models.reranking.rule_engine import RuleBook


@dataclass(frozen=True)
class BundleKind:
    """What a kind of bundle is for.

    summary: for the table in docs/models.md. model: builds the model of a verified bundle, or
    raises BundleError. recommender: builds what serves it; None where it cannot serve alone.
    """

    summary: str
    model: Callable[[Bundle], object]
    recommender: Callable[[Bundle, RecommenderConfig, RuleBook], RankedRecommender] | None = None


KINDS: Mapping[str, BundleKind] = {
    "gru": BundleKind(
        "A session encoder (GRU). The next song is a softmax over all songs, sampled by play "
        "counts with logQ correction in training. One embedding table for input and output, "
        "cosines with a temperature. A repeat head scores songs played before, in the session "
        "or in the history, with a gate and an attention over plays.",
        GRUNextSong.from_bundle,
        GRURecommender.from_bundle,
    ),
    "amnn": BundleKind(
        "Candidate attention: recent songs weighted for each candidate by how well they "
        "predict it, by recency, and by the song.",
        CandidateAttentionNextSong.from_bundle,
    ),
    "skipgram": BundleKind(
        "word2vec over listening sessions. A listener is the decayed mean of their songs' "
        "embeddings; the default decay of this kind is 0, which is **the last song alone** "
        "(the hybrid's is 0.5).",
        SkipGramNextSong.from_bundle,
    ),
    "hybrid": BundleKind(
        "All retrievers and the ranker, from one log.",
        HybridNextSong.from_bundle,
        HybridRecommender.from_bundle,
    ),
    "audio": BundleKind(
        "A network from mel spectrograms to song embeddings. It does not predict next songs: "
        "`segue embed` brings its embeddings into a hybrid.",
        AudioNetwork.from_bundle,
    ),
}


def model_of(bundle: Bundle) -> NextSongModel:
    """Build the next-song model of a verified bundle; BundleError where its kind holds none."""
    kind = KINDS.get(bundle.manifest.kind)
    model = kind and kind.model(bundle)
    if not isinstance(model, NextSongModel):
        raise BundleError(
            f"{bundle.manifest.version}: a {bundle.manifest.kind!r} bundle predicts no next song: "
            "name one made by `segue train hybrid`, `gru`, `amnn` or `skipgram`"
        )
    return model


def open_model(directory: Path) -> tuple[Bundle, NextSongModel]:
    """Read and verify a bundle of any kind that predicts next songs, or raise BundleError."""
    bundle = read_bundle(directory, kind=None)
    return bundle, model_of(bundle)


def open_song_vectors(directory: Path) -> tuple[Bundle, Tensor]:
    """Read a bundle of any kind that has song vectors, and those, float32 [V + 1, D].

    BundleError where it cannot be trusted, or has none.
    """
    bundle, model = open_model(directory)
    if not isinstance(model, HasSongVectors):
        raise BundleError(
            f"{directory}: a {bundle.manifest.kind!r} model has no song vectors: name a bundle "
            "made by `segue train skipgram` or `segue train gru`"
        )
    return bundle, model.song_vectors()


def recommender_of(
    bundle: Bundle, config: RecommenderConfig, book: RuleBook | None = None
) -> RankedRecommender:
    """Build what serves a verified bundle; BundleError where its kind cannot serve.

    book: the rules, whose catalogue is offered what the bundle knows of songs; without, the
    songs just played are excluded as `config` says.
    """
    kind = KINDS.get(bundle.manifest.kind)
    if kind is None or kind.recommender is None:
        able = [f"`segue train {name}`" for name, one in KINDS.items() if one.recommender]
        raise BundleError(
            f"a {bundle.manifest.kind!r} bundle cannot serve lists by itself: name one made by "
            f"{' or '.join(able)}"
        )
    book = book or RuleBook(config.rules)
    recommender = kind.recommender(bundle, config, book)
    book.catalogue.offer(bundle.details)
    recommender.trained_through_ms = int(bundle.manifest.training.get("to_ms") or 0)
    # Loops are compiled at the first call: now, and not while the first plays wait.
    songs = bundle.vocabulary.song_ids[:2]
    recommender.recommend([_full_request(songs), Request(songs, ())])
    return recommender


def _full_request(songs: Sequence[str]) -> Request:
    """Return a request that reaches every part: two listeners, and an out-of-vocabulary song."""
    recent = RecentPlays(8)
    recent.add(songs[0], 0, 0)
    recent.add("\n", 1, 1, after=0, continues_session=True)  # no song has such an id
    recent.add(songs[-1], 2, 2, after=1, continues_session=True)
    play = recent.add(songs[0], 3, 3)
    return Request(songs, (), snapshot=BufferSnapshot(recent, play.number))
