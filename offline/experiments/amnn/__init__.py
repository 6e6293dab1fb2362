"""The experiment of the AMNN paper: its protocol, baselines, statistics and report."""
