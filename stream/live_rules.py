"""A worker's rules and catalogue, kept to their file and their topic while it runs."""

from __future__ import annotations

from stream.catalogue import CatalogueFollower
from stream.metrics import Metrics
from stream.rules import RulesWatch
from stream.serving import load_rules
from stream.settings import Settings


class LiveRules:
    """The book of rules that all models of a worker share."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Read the files of the settings; RulesError or SongError where they cannot be."""
        self.book = load_rules(settings)
        self._songs = CatalogueFollower(settings, self.book.catalogue, metrics)
        self._watch = (
            RulesWatch(settings.rules_file, self.book, settings.no_repeat_songs, metrics)
            if settings.rules_file
            else None
        )

    def start(self) -> None:
        """Read the catalogue and follow it; KafkaUnavailable where it cannot be read."""
        self._songs.start()

    def look(self) -> None:
        """Take up what has changed in the file of rules, between two batches."""
        if self._watch is not None:
            self._watch.look()

    def stop(self) -> None:
        """Follow the catalogue no more."""
        self._songs.stop()
