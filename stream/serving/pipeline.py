"""The path of a batch of plays, without Kafka: live traffic and replay both call it."""

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
    """Erase listeners and answer plays, in the order of the log."""
    appended, lists = [], []
    for erasures, plays, next_offsets in batch.sub_batches():
        if erasures:
            store.erase(erasures)
        known, made = handle_plays(
            plays, next_offsets, store, recommender, now_ms=now_ms, stage=stage
        )
        appended += known
        lists += made
    return appended, lists


def recover_batch(batch: Batch, store: HistoryStore) -> None:
    """Erase listeners and append plays, and answer nothing: the log is read again."""
    for erasures, plays, next_offsets in batch.sub_batches():
        if erasures:
            store.erase(erasures)
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
    """Append plays and answer each with its list, in order.

    next_offsets: for each partition of the batch, the offset after its last record, so that
    dead letters are not read again. now_ms: the time that lists carry. Raises StoreError or
    LogReplaced, and then nothing is appended.
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
    """Return the request for the list that a play causes."""
    return Request(
        known.session,
        known.popular,
        known.history,
        known.session_details,
        known.history_details,
        known.snapshot,
    )
