"""What operators run: produce, consume, catalogue, bundle inventory, the local stack."""
