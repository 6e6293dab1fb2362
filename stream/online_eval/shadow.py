"""Shadow deployment: a second model answers the same plays, and nothing of it is published."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from segue.models.errors import SegueError
from segue.models.metrics import rank_in
from segue.models.recommenders.base import Recommender, Stage, untimed
from segue.models.reranking.rule_engine import RuleBook
from segue.stream.config.settings import Settings
from segue.stream.messages.events import RecommendationList
from segue.stream.observability.metrics import SHADOW_GROUPS, Metrics, ShadowMetrics
from segue.stream.serving.factory import load_recommender
from segue.stream.serving.pipeline import request_of
from segue.stream.state.transaction import Appended

logger = logging.getLogger(__name__)
HASH_END = 1 << 32


class ShadowTooSlow(SegueError):
    """A shadow model that delays the active one."""


def load_shadow(
    settings: Settings, metrics: Metrics, book: RuleBook | None = None
) -> Shadow | None:
    """Load the shadow bundle; None where none is set, or it cannot be loaded.

    book: the rules of the active model, which are this one's, too.
    """
    if settings.shadow_bundle is None:
        return None
    counts = ShadowMetrics(metrics)
    try:
        shadow = settings.model_copy(update={"bundle": settings.shadow_bundle})
        model = load_recommender(shadow, book)
    # As below: the active model serves whatever is wrong with the shadow.
    except Exception:
        counts.fail()
        logger.exception("No shadow model: %s cannot be loaded", settings.shadow_bundle)
        return None
    share, max_wait_s = settings.shadow_share, settings.shadow_max_wait_s
    return Shadow(model, counts, share, max_wait_s, stage=metrics.stage)


@dataclass(frozen=True, slots=True)
class Followed:
    """A play of a listener in the share: what was known at it, its list, the group."""

    known: Appended
    songs: list[str]
    group: int

    @property
    def key(self) -> tuple[int, str]:
        """Name the listener as the histories do."""
        return self.known.play.partition, self.known.play.user_id


class Shadow:
    """Lists of a shadow model, each compared with the active model's of the same play.

    Only pairs count: the two lists that one play caused, by what its listener played next. So
    neither model gets easier plays, whichever listeners and batches are left out.

    Runs in the pipeline's thread, where the store is as the batch left it.
    """

    def __init__(
        self,
        recommender: Recommender,
        metrics: ShadowMetrics,
        share: float = 1.0,
        max_wait_s: float = 1.0,
        *,
        stage: Stage = untimed,
        max_users: int = 200_000,
        patience_s: float = 5.0,
    ) -> None:
        """Follow a share, in (0, 1], of the listeners, and remember `max_users` at most.

        max_wait_s: seconds from plays to their lists beyond which a worker is behind, and the
        shadow skips a batch. patience_s: seconds for a batch, beyond which it is turned off.
        """
        self.recommender = recommender
        self.metrics = metrics
        self.share = share
        self.max_wait_s = max_wait_s
        self.max_users = max_users
        self.patience_s = patience_s
        self.works = True
        self._stage = stage
        self._active_version = ""
        self._last: dict[tuple[int, str], tuple[list[str], list[str]]] = {}
        metrics.begin(recommender.version)

    def follow(
        self, appended: Sequence[Appended], lists: Sequence[RecommendationList], waited_s: float
    ) -> None:
        """Evaluate the pairs that a batch's plays complete, and make the next ones. Never raises.

        waited_s: seconds from those plays to the delivery of their lists.
        """
        if not self.works or not lists:
            return
        began = time.monotonic()
        try:
            self._follow(appended, lists, waited_s > self.max_wait_s)
            took_s = time.monotonic() - began
            if took_s > self.patience_s:
                raise ShadowTooSlow(f"a batch of {len(lists)} plays took it {took_s:.1f} s")
        # A shadow model may fail in any way; whichever it is, no listener may notice.
        except Exception:
            self.works = False
            self._last.clear()
            self.metrics.fail()
            logger.exception(
                "The shadow model %s failed and is off until this worker starts anew; "
                "the active model serves on",
                self.recommender.version,
            )

    def erase(self, partition: int, user_id: str) -> None:
        """Drop a listener's last lists."""
        self._last.pop((partition, user_id), None)

    def _follow(
        self, appended: Sequence[Appended], lists: Sequence[RecommendationList], behind: bool
    ) -> None:
        if lists[0].model != self._active_version:
            self._begin_anew(lists[0].model)
        followed = list(self._followed(appended, lists))
        if behind:
            self.metrics.skipped.inc(len(followed))
            made: Sequence[list[str] | None] = [None] * len(followed)
        else:
            with self._stage("shadow"):
                made = self._songs(followed)
        for one, songs in zip(followed, made, strict=True):
            self._judge(one)
            if songs is not None:
                self._remember(one, songs)

    def _begin_anew(self, active_version: str) -> None:
        """Count from 0: figures of two active models would be nobody's."""
        self._active_version = active_version
        self._last.clear()
        self.metrics.begin(self.recommender.version)

    def _followed(
        self, appended: Sequence[Appended], lists: Sequence[RecommendationList]
    ) -> Iterator[Followed]:
        for one, made in zip(appended, lists, strict=True):
            place, group = self._draw(one.play.user_id)
            if one.is_new and place < self.share:
                yield Followed(one, [item.song_id for item in made.items], group)

    def _draw(self, user_id: str) -> tuple[float, int]:
        """Return a listener's draw in [0, 1) and group: the same in every worker, at any time."""
        drawn = blake2b(user_id.encode(), digest_size=8, person=b"segue shadow").digest()
        place, number = int.from_bytes(drawn[:4]), int.from_bytes(drawn[4:])
        return place / HASH_END, number % SHADOW_GROUPS

    def _songs(self, followed: Sequence[Followed]) -> list[list[str]]:
        if not followed:
            return []
        lists = self.recommender.recommend([request_of(one.known) for one in followed])
        return [[item.song_id for item in made] for made in lists]

    def _judge(self, one: Followed) -> None:
        pair = self._last.pop(one.key, None)
        if pair is not None:
            active, shadow = (rank_in(one.known.play.song_id, songs) for songs in pair)
            self.metrics.judge(one.group, active, shadow)

    def _remember(self, one: Followed, songs: list[str]) -> None:
        self._last[one.key] = one.songs, songs
        if len(self._last) > self.max_users:
            del self._last[next(iter(self._last))]  # whose last list is the oldest
