"""Which recommender serves a bundle: from its kind to what makes lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from segue.models.attention.scorer import CandidateAttentionNextSong
from segue.models.base import HasSongVectors, NextSongModel
from segue.models.bundles.bundle import Bundle, BundleError, read_bundle
from segue.models.data.play_buffer import Moment, RecentPlays
from segue.models.gru.network import gru_from_bundle
from segue.models.gru.scorer import GRUNextSong
from segue.models.hybrid.model import HybridNextSong
from segue.models.item2vec.scorer import SkipGramNextSong
from segue.models.recommenders.base import RecommenderConfig, Request
from segue.models.recommenders.gru import GRURecommender
from segue.models.recommenders.hybrid import HybridRecommender
from segue.models.recommenders.two_stage import RankedRecommender
from segue.models.reranking.rule_engine import RuleBook
from segue.models.retrieval.ann_index import index_of

KINDS: Mapping[str, Callable[[Bundle], NextSongModel]] = {
    "amnn": CandidateAttentionNextSong.from_bundle,
    "gru": GRUNextSong.from_bundle,
    "hybrid": HybridNextSong.from_bundle,
    "skipgram": SkipGramNextSong.from_bundle,
}


def open_model(directory: Path) -> tuple[Bundle, NextSongModel]:
    """Read and verify a bundle of any kind; BundleError names what is wrong with it."""
    bundle = read_bundle(directory, kind=None)
    kind = bundle.manifest.kind
    if kind not in KINDS:
        raise BundleError(
            f"{directory}: holds a {kind!r} model; next songs come from {', '.join(KINDS)}"
        )
    return bundle, KINDS[kind](bundle)


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
    """Build what serves a verified bundle; BundleError where its kind serves nobody.

    book: the rules, whose catalogue is offered what the bundle knows of songs; without, the
    songs just heard are left out as `config` says.
    """
    made = _made(bundle, config, book or RuleBook(config.rules))
    made.learned_ms = int(bundle.manifest.training.get("to_ms") or 0)
    # Loops are compiled at the first call: now, and not while the first plays wait.
    made.recommend([_first_request(bundle.vocabulary.song_ids[:2])])
    return made


def _first_request(songs: Sequence[str]) -> Request:
    """Give a request that everything has a part in: two listeners, and a song nobody knows."""
    recent = RecentPlays(8)
    recent.add(songs[0], 0, 0)
    recent.add("\n", 1, 1, after=0, goes_on=True)  # no song has such an id
    recent.add(songs[-1], 2, 2, after=1, goes_on=True)
    play = recent.add(songs[0], 3, 3)
    return Request(songs, (), moment=Moment(recent, play.number))


def _made(bundle: Bundle, config: RecommenderConfig, book: RuleBook) -> RankedRecommender:
    manifest, popularity = bundle.manifest, bundle.weights["popularity"]
    if manifest.kind == "hybrid":
        model = HybridNextSong.from_bundle(bundle)
        book.catalogue.offer(bundle.details)
        return HybridRecommender(model, popularity, manifest.version, config, book)
    if manifest.kind == "gru":
        network = gru_from_bundle(bundle)
        book.catalogue.offer(bundle.details)
        index = index_of(bundle, network.item_vectors())
        return GRURecommender(
            *(network, bundle.vocabulary, popularity, manifest.version, config, index), book=book
        )
    raise BundleError(
        f"a {manifest.kind!r} bundle cannot serve lists by itself: name one made by "
        "`segue train hybrid` or `segue train gru`"
    )
