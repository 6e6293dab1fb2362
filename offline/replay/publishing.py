"""Replayed lists published to a topic of their own, as a worker publishes its lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from segue.offline.replay.sources import ReplayError
from segue.stream.config.settings import Settings
from segue.stream.kafka.publisher import Publisher
from segue.stream.messages.events import RecommendationList


class ListPublisher:
    """Publishes lists to `topic`, each to the partition of its play, and waits for delivery."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._runner = asyncio.Runner()
        self._publisher = self._runner.run(
            _opened(settings.model_copy(update={"topic_recommendations": topic}))
        )

    def take(self, lists: Sequence[RecommendationList]) -> None:
        """Publish the lists of a batch."""
        self._runner.run(self._publisher.publish(lists))

    def close(self) -> None:
        """Disconnect."""
        self._runner.run(self._publisher.__aexit__(None, None, None))
        self._runner.close()


async def _opened(settings: Settings) -> Publisher:
    # The client wants to be made where its loop runs.
    return await Publisher(settings).__aenter__()


def ensure_topic(settings: Settings, topic: str, partitions: int) -> None:
    """Create the topic to publish to, where it is missing, with as many partitions as plays.

    Raises ReplayError where it is one that the system lives by, or has other partitions.
    """
    from segue.stream.kafka.topics import ensure_topics

    if topic in settings.topics:
        raise ReplayError(f"--publish-to {topic}: the running system lives by it: name another")
    wanted = {"topic_recommendations": topic, "topic_partitions": partitions}
    reports = ensure_topics(settings.model_copy(update=wanted))
    [found] = [report for report in reports if report.name == topic]
    if found.partitions != partitions:
        raise ReplayError(
            f"topic {topic!r} has {found.partitions} partitions and plays have {partitions}: "
            "name a new topic"
        )
