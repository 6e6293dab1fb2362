"""Which recommender serves a bundle: from its kind to what makes lists."""

from __future__ import annotations

from collections.abc import Sequence

from models.bundle import Bundle, BundleError
from models.gru import gru_from_bundle
from models.gru_recommender import GRURecommender
from models.hybrid_next_song import HybridNextSong
from models.hybrid_recommender import HybridRecommender
from models.ranked_recommender import RankedRecommender
from models.recent_plays import Moment, RecentPlays
from models.recommender import RecommenderConfig, Request
from models.rule_book import RuleBook
from models.song_index import index_of


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
