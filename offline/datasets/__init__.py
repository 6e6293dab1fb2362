"""Play logs to learn from and to replay: the log, sessions, splits and one reader a format."""
