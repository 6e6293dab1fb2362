"""One module a command of `segue`; `offline.cli` finds them by name."""
