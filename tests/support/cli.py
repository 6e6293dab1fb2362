"""`segue`, run in the process of a test."""

import pytest
from click.testing import CliRunner, Result

from segue.offline.cli import main
from segue.stream.config.settings import Settings


def segue(*arguments: object, **environment: str) -> Result:
    """Run a command; the result has its exit code and output. Our own errors are raised."""
    words = [str(argument) for argument in arguments]
    return CliRunner(env=environment).invoke(main, words, catch_exceptions=False)


def share_settings(monkeypatch: pytest.MonkeyPatch, settings: Settings, *more: str) -> None:
    """Give commands the broker and topics of some settings, and `more` of them by name."""
    topics = (name for name in Settings.model_fields if name.startswith("topic_"))
    for name in ("kafka_bootstrap", *topics, *more):
        monkeypatch.setenv(f"SEGUE_{name.upper()}", str(getattr(settings, name)))
