"""Which recommender serves a bundle: from its kind to what makes lists."""

from __future__ import annotations

from models.bundle import Bundle, BundleError
from models.gru import gru_from_bundle
from models.gru_recommender import GRURecommender
from models.hybrid_next_song import HybridNextSong
from models.hybrid_recommender import HybridRecommender
from models.ranked_recommender import RankedRecommender
from models.recommender import RecommenderConfig, Request
from models.rule_book import RuleBook


def recommender_of(
    bundle: Bundle, config: RecommenderConfig, book: RuleBook | None = None
) -> RankedRecommender:
    """Build what serves a verified bundle; BundleError where its kind serves nobody.

    book: the rules, whose catalogue is offered what the bundle knows of songs; without, the
    songs just heard are left out as `config` says.
    """
    made = _made(bundle, config, book or RuleBook(config.rules))
    # Loops are compiled at the first call: now, and not while the first plays wait.
    made.recommend([Request(bundle.vocabulary.song_ids[:2], ())])
    return made


def _made(bundle: Bundle, config: RecommenderConfig, book: RuleBook) -> RankedRecommender:
    manifest, popularity = bundle.manifest, bundle.weights["popularity"]
    if manifest.kind == "hybrid":
        model = HybridNextSong.from_bundle(bundle)
        book.catalogue.offer(bundle.details)
        return HybridRecommender(model, popularity, manifest.version, config, book)
    if manifest.kind == "gru":
        network = gru_from_bundle(bundle)
        book.catalogue.offer(bundle.details)
        return GRURecommender(
            *(network, bundle.vocabulary, popularity, manifest.version, config), book=book
        )
    raise BundleError(
        f"a {manifest.kind!r} bundle cannot serve lists by itself: name one made by "
        "`segue train hybrid` or `segue train gru`"
    )
