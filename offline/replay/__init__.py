"""Replay: logged plays through the very function that serves live traffic, and every list judged.

A play is judged by the list made before it: predict, score, then learn. Plays are replayed
partition by partition, as they lie in the topic, because histories, popularity and therefore
lists are functions of one partition's log: partitions can run side by side and give the same.
docs/evaluation.md says what such figures show and what they do not.
"""
