"""Everything run by hand: the command line, readers of play logs, training and evaluation."""
