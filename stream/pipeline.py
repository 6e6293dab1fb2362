"""The whole way of a batch of plays, without Kafka: live traffic and replay both call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.recommender import Recommender, Request, Stage, untimed
from stream.events import Cause, Play, RecommendationList, rfc3339
from stream.store import Appended, HistoryStore


def handle_plays(
    plays: Sequence[Play],
    next_offsets: Mapping[int, int],
    store: HistoryStore,
    recommender: Recommender,
    *,
    now_ms: int,
    stage: Stage = untimed,
) -> tuple[list[Appended], list[RecommendationList]]:
    """Count a batch of plays and answer each with its list, in order.

    next_offsets: for each partition of the batch, the offset after its last record, so that
    records that were no plays are passed over for good. now_ms: the time that lists carry.
    Raises StoreError or LogReplaced, and then has counted nothing.
    """
    with stage("histories"):
        appended = store.append(plays, next_offsets)
    requests = [request_of(one) for one in appended]
    songs = recommender.recommend(requests, stage) if requests else []
    generated_at = rfc3339(now_ms)
    lists = [
        RecommendationList(
            play.user_id,
            Cause(play.event_id, play.partition, play.offset),
            generated_at,
            recommender.version,
            items,
        )
        for play, items in zip(plays, songs, strict=True)
    ]
    return appended, lists


def request_of(known: Appended) -> Request:
    """Ask for the list that a play causes."""
    return Request(
        *(known.session, known.popular, known.history),
        *(known.session_details, known.history_details, known.moment),
    )
