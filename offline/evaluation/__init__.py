"""The offline protocol: models, splits, seeds and slices into one report."""
