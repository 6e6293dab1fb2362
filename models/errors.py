"""The root of every error a user can mend."""


class SegueError(Exception):
    """A mistake in somebody's input: the message names the value and the remedy.

    The command line prints it in one line and exits with status 1; our own slips are
    assertions and keep their traceback.
    """
