"""The models: arrays and torch only. No Kafka, no LMDB, no environment, no clock."""
