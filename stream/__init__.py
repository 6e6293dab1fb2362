"""The live system: plays in from Kafka, recommendations and metrics out."""
