"""Recommendation models: arrays and torch only, with no Kafka, LMDB, environment or clock.

A model is a folder: `config` and `network` as the paper has it, `inference` as it serves,
`retriever` or `scorer` where it answers. Imports never leave `models`.
"""
