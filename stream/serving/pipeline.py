"""The whole way of a batch of plays, without Kafka: live traffic and replay both call this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segue.models.recommenders.base import Recommender, Request, Stage, untimed
from segue.stream.messages.events import Cause, Play, RecommendationList, rfc3339
from segue.stream.messages.records import Batch
from segue.stream.state.store import HistoryStore
from segue.stream.state.transaction import Appended


def handle_batch(
    batch: Batch,
    store: HistoryStore,
    recommender: Recommender,
    *,
    now_ms: int,
    stage: Stage = untimed,
) -> tuple[list[Appended], list[RecommendationList]]:
    """Do in the order of the log what a batch asks: forget listeners, and answer plays."""
    appended, lists = [], []
    for erasures, plays, next_offsets in batch.parts():
        if erasures:
            store.forget(erasures)
        known, made = handle_plays(
            plays, next_offsets, store, recommender, now_ms=now_ms, stage=stage
        )
        appended += known
        lists += made
    return appended, lists


def count_batch(batch: Batch, store: HistoryStore) -> None:
    """Do the same and answer nothing: the log is read back."""
    for erasures, plays, next_offsets in batch.parts():
        if erasures:
            store.forget(erasures)
        store.append(plays, next_offsets)


def handle_plays(
    plays: Sequence[Play],
    next_offsets: Mapping[int, int],
    store: HistoryStore,
    recommender: Recommender,
    *,
    now_ms: int,
    stage: Stage = untimed,
) -> tuple[list[Appended], list[RecommendationList]]:
    """Count plays and answer each with its list, in order.

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
