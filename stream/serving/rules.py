"""The file of rules: read strictly, and read again when it has changed."""

from __future__ import annotations

import hashlib
import logging
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from segue.models.errors import SegueError
from segue.models.reranking.rule_engine import RuleBook
from segue.models.reranking.rules import ListRules
from segue.stream.config.settings import Settings
from segue.stream.messages.songs import read_songs
from segue.stream.observability.metrics import Metrics
from segue.stream.serving.catalogue import CatalogueFollower

logger = logging.getLogger(__name__)
Stamp = tuple[int, ...]


class RulesError(SegueError):
    """A file of rules that cannot be used: names the key, its value and the remedy."""


def decode_rules(text: str, source: str = "rules") -> ListRules:
    """Read rules as TOML; RulesError names what is wrong with them. source: the file's name.

    >>> decode_rules("[heard]\\nplays = 3").heard.plays
    3
    """
    try:
        parsed = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of a thousand digits, deep nesting
        raise RulesError(f"{source}: cannot be read as TOML: {error}: mend that line") from error
    for unknown, remedy in _unknown_keys(parsed, ListRules, ""):
        raise RulesError(f"{source}: there is no rule {unknown!r}: {remedy}")
    try:
        return msgspec.convert(parsed, ListRules)
    except msgspec.ValidationError as error:
        raise RulesError(f"{source}: {_named(parsed, str(error))}") from error


def read_rules(path: Path) -> ListRules:
    """Read a file of rules; RulesError where it cannot be read or used."""
    return decode_rules(_text(path), str(path))


class RulesReloader:
    """The rule book that all models of a worker share, kept to its file and to the catalogue.

    A file that is wrong leaves the last good rules in force; it is counted and logged once for
    each time that it changes.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Read the files of the settings; RulesError or SongError where they cannot be read."""
        self.book = load_rules(settings)
        self._songs = CatalogueFollower(settings, self.book.catalogue, metrics)
        self._path = settings.rules_file
        self._no_repeat_songs = settings.no_repeat_songs
        self._metrics = metrics
        if self._path is not None:
            self._stamp = _stamp(self._path)
            self._log_version()

    def start(self) -> None:
        """Read the catalogue and follow it; KafkaUnavailable where it cannot be read."""
        self._songs.start()

    def reload_if_changed(self) -> None:
        """Apply the file's rules if it has changed: between two batches, in their thread."""
        if self._path is None:
            return
        stamp = _stamp(self._path)  # before it is read: a change meanwhile is seen next time
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            rules = read_rules(self._path)
        except RulesError as error:
            self._metrics.rules_reloads.labels("refused").inc()
            logger.error("The last good rules stay in force: %s", error)
            return
        self.book.rules = rules.with_default(self._no_repeat_songs)
        self._metrics.rules_reloads.labels("taken").inc()
        self._log_version()

    def stop(self) -> None:
        """Stop following the catalogue."""
        self._songs.stop()

    def _log_version(self) -> None:
        version = rules_version(self.book.rules)
        self._metrics.rules.info({"version": version})
        logger.info("Rules %s of %s are in force", version, self._path)


def rules_version(rules: ListRules) -> str:
    """Name rules by their content.

    >>> rules_version(ListRules()) == rules_version(decode_rules("explicit = 'allow'"))
    True
    """
    return hashlib.sha256(msgspec.json.encode(rules)).hexdigest()[:12]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: cannot be read: {error}: name a TOML file of rules") from error


def _stamp(path: Path) -> Stamp:
    """Return what identifies a file's content; nothing where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unknown_keys(
    parsed: Mapping[str, Any], kind: type[msgspec.Struct], within: str
) -> Iterator[tuple[str, str]]:
    """Name keys that are no rules, each with what may have been meant."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in parsed.items():
        if key not in fields:
            near = get_close_matches(key, fields, n=1)
            known = ", ".join(within + name for name in fields)
            yield within + key, f"did you mean {within + near[0]!r}?" if near else f"known: {known}"
        elif isinstance(value, dict) and issubclass(fields[key], msgspec.Struct):
            yield from _unknown_keys(value, fields[key], f"{key}.")


def _named(parsed: Mapping[str, Any], error: str) -> str:
    """Return msgspec's message with the key as TOML has it, and its value.

    >>> _named({"heard": {"plays": -1}}, "Expected `int` >= 0 - at `$.heard.plays`")
    'heard.plays = -1: expected `int` >= 0'
    """
    message, _, place = error.partition(" - at `$.")
    key = place.rstrip("`").partition("[")[0]
    value: Any = parsed
    for name in key.split("."):
        value = value.get(name, "") if isinstance(value, dict) else value
    return f"{key} = {value!r}: {message[0].lower()}{message[1:]}"


def load_rules(settings: Settings) -> RuleBook:
    """Read the files of rules and of songs; RulesError or SongError where they cannot be."""
    rules = read_rules(settings.rules_file) if settings.rules_file else ListRules()
    book = RuleBook(rules.with_default(settings.no_repeat_songs))
    if settings.songs_file:
        for song_id, details in read_songs(settings.songs_file).items():
            book.catalogue.put(song_id, details)
    return book
