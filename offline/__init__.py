"""Everything run by hand: command line, data sets, training, evaluation, replay, benchmarks."""
