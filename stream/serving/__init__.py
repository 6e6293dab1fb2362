"""What turns settings and a bundle into recommendations, and swaps models and rules while serving.

`pipeline` is the way of one play without Kafka; replay calls the same functions.
"""
