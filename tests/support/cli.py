"""`segue`, run in the process of a test."""

from click.testing import CliRunner, Result

from segue.offline.cli import main


def segue(*arguments: object, **environment: str) -> Result:
    """Run a command; the result has its exit code and output. Our own errors are raised."""
    words = [str(argument) for argument in arguments]
    return CliRunner(env=environment).invoke(main, words, catch_exceptions=False)
