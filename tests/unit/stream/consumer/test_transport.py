"""What is asked of Faust's consumer while its partitions come and go."""

from __future__ import annotations

import asyncio

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from segue.stream.consumer.app import prompt_transport


def test_the_end_of_a_partition_that_went_to_another_member_is_not_known():
    """As where the group is lost between two questions of one look."""
    place = TopicPartition("plays", 0)

    async def look():
        app = faust.App("segue", broker="kafka://127.0.0.1:1")
        app.transport = prompt_transport(app, 10)
        consumer = app.consumer
        consumer._thread._consumer = client = AIOKafkaConsumer()
        before = consumer.highwater(faust.types.TP(*place))
        client.assign([place])
        client._subscription.subscription.assignment.state_value(place).highwater = 7
        after = consumer.highwater(faust.types.TP(*place))
        await client.stop()
        consumer._thread.thread_loop.close()
        return before, after

    assert asyncio.run(look()) == (None, 7)
