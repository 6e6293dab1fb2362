"""Process plumbing: watchdog, supervised child processes, free ports, garbage collection."""
