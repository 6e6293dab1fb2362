"""The worker process: its agent, the processor of one batch, and its start and stop."""
