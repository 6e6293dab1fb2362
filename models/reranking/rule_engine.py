"""The rules in force and what is known of songs: from ranked candidates to lists."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segue.models.data.catalogue import NO_ARTIST, UNKNOWN_FLAG, Catalogue
from segue.models.data.play_metadata import UNKNOWN, DetailLists
from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import PADDING
from segue.models.reranking.rules import ListRules
from segue.models.reranking.selection import (
    BY_ALLOW,
    BY_ARTIST_BLOCK,
    BY_EXPLICIT,
    BY_SONG_BLOCK,
    LISTED,
    RULE_NAMES,
    Candidates,
    Limits,
    absent,
    choose,
    exclude,
)

DAY_MS = 86_400_000
MINUTE_MS = 60_000
NO_VECTORS = np.zeros((1, 1), np.float32)


class Listener(Protocol):
    """What rules look at of a listener: a request, for one."""

    @property
    def session(self) -> Sequence[str]:
        """The songs of the running session, oldest first."""
        ...

    @property
    def history(self) -> Sequence[str]:
        """The songs before it, oldest first."""
        ...

    @property
    def session_details(self) -> DetailLists:
        """Of the session's plays."""
        ...

    @property
    def history_details(self) -> DetailLists:
        """Of the plays before them."""
        ...


@dataclass(frozen=True)
class Choice:
    """columns: int64 [B, n], which candidates, -1 behind the last. verdicts: uint8 [B, C]."""

    columns: NDArray[np.int64]
    verdicts: NDArray[np.uint8]

    def rule(self, listener: int, column: int) -> str | None:
        """Return the rule that excluded a candidate; None where none did."""
        return RULE_NAMES.get(int(self.verdicts[listener, column]))


class RuleBook:
    """One set of rules at a time, and one catalogue; recommenders share it.

    Whoever makes lists may change `rules` between two calls.
    """

    def __init__(self, rules: ListRules, catalogue: Catalogue | None = None) -> None:
        """Accept rules whose `heard.plays` is filled in."""
        self.catalogue = catalogue or Catalogue()
        self.rules = rules

    @property
    def rules(self) -> ListRules:
        """The rules in force."""
        return self._rules

    @rules.setter
    def rules(self, rules: ListRules) -> None:
        assert rules.heard.plays is not None, "rules without heard.plays: see with_default"
        self._rules = rules
        # What is listed by its id has a row, so that nothing else looks at ids.
        self.catalogue.take_up((*rules.songs.block, *rules.songs.allow))
        self._hidden_at = -1

    def choose(
        self,
        listeners: Sequence[Listener],
        items: NDArray[np.int64],
        scores: NDArray[np.float32],
        rows: NDArray[np.int64],
        numbers: Callable[[Iterable[str]], list[int]],
        vectors: NDArray[np.float32] = NO_VECTORS,
        *,
        length: int,
    ) -> Choice:
        """Choose each listener's list of at most `length` songs.

        items: int64 [B, C]. scores: float32 [B, C], -inf where there is no candidate. rows: by
        item number, the song's row in the catalogue. numbers: gives the item numbers of the
        known among songs. vectors: float32 [V + 1, D], of length 1, by item number; an item
        beyond them is like none.
        """
        excluded = Ragged.of([numbers(self.heard(each)) for each in listeners])
        hidden, limits = self._hidden_rows(), self._limits(length)
        placed = rows[items]
        # Songs that came into the catalogue a moment ago wait for the next call.
        placed[placed >= len(hidden)] = 0
        verdicts = exclude(items, scores, hidden[placed], excluded.values, excluded.offsets)
        nothing = np.zeros(items.shape, np.bool_)
        candidates = Candidates(
            scores,
            verdicts,
            self.catalogue.columns.artists[placed],
            self._released(listeners, placed) if limits.released else nothing,
            _unheard(listeners, items, numbers) if limits.unheard else nothing,
            np.where(items < len(vectors), items, PADDING),
        )
        return Choice(choose(candidates, limits, vectors), verdicts)

    def removed(self, listener: Listener, songs: Sequence[str], choice: Choice) -> dict[str, str]:
        """Return the rule that excluded songs from the one list chosen, song by song.

        songs: ids, by column of the candidates; "" where there is none.
        """
        heard = self.heard(listener)
        named = {
            song: heard.get(song) or choice.rule(0, column) for column, song in enumerate(songs)
        }
        return {song: rule for song, rule in named.items() if song and rule}

    def heard(self, listener: Listener) -> dict[str, str]:
        """Return the songs that `heard` bars of a listener's next list, each with its rule."""
        rules, session = self.rules.heard, listener.session
        excluded = dict.fromkeys(session, "heard.session") if rules.session else {}
        if rules.minutes > 0:
            excluded |= dict.fromkeys(self._just_heard(listener), "heard.minutes")
        if rules.plays:
            excluded |= dict.fromkeys(session[-rules.plays :], "heard.plays")
        return excluded

    def _just_heard(self, listener: Listener) -> Iterator[str]:
        now_ms = _now_ms(listener)
        since_ms = now_ms - self.rules.heard.minutes * MINUTE_MS
        for songs, details in (
            (listener.session, listener.session_details),
            (listener.history, listener.history_details),
        ):
            times = details.played_at_ms or (UNKNOWN,) * len(songs)
            for song_id, played_at_ms in zip(songs, times, strict=True):
                if UNKNOWN in (played_at_ms, now_ms) or played_at_ms >= since_ms:
                    yield song_id

    def _limits(self, length: int) -> Limits:
        rules = self.rules
        return Limits(
            length,
            -1 if rules.artists.most is None else rules.artists.most,
            rules.artists.spacing,
            _wanted(rules.released.share, length),
            _wanted(rules.unheard.share, length),
            float(rules.diversity.mmr),
        )

    def _released(
        self, listeners: Sequence[Listener], placed: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which candidates came out of late, bool [B, C]. placed: their rows."""
        now_ms = np.array([_now_ms(each) for each in listeners], np.int64)[:, None]
        released_ms = self.catalogue.columns.released_ms[placed]
        since_ms = now_ms - int(self.rules.released.days * DAY_MS)
        of_late: NDArray[np.bool_] = (released_ms > since_ms) & (now_ms != UNKNOWN)
        return of_late

    def _hidden_rows(self) -> NDArray[np.uint8]:
        """Return what each row of the catalogue is excluded by, uint8; LISTED for nothing."""
        if self._hidden_at != self.catalogue.version:
            self._hidden_at = self.catalogue.version
            self._hidden = self._hide()
        return self._hidden

    def _hide(self) -> NDArray[np.uint8]:
        rules, columns, find = self.rules, self.catalogue.columns, self.catalogue.find
        hidden = np.full(len(columns.artists), LISTED, np.uint8)
        if rules.explicit == "hide":
            hidden[columns.explicit == 1] = BY_EXPLICIT
            if rules.unknown_explicit == "hide":
                hidden[columns.explicit == UNKNOWN_FLAG] = BY_EXPLICIT
        if rules.allows_some:
            allowed = np.isin(columns.artists, self._artists(rules.artists.allow))
            allowed[find(rules.songs.allow)] = True
            allowed[0] = False
            hidden[~allowed] = BY_ALLOW
        hidden[np.isin(columns.artists, self._artists(rules.artists.block))] = BY_ARTIST_BLOCK
        hidden[find(rules.songs.block)] = BY_SONG_BLOCK
        return hidden

    def _artists(self, names: Sequence[str]) -> list[int]:
        return [number for name in names if (number := self.catalogue.artist(name)) != NO_ARTIST]


def _wanted(share: float, length: int) -> int:
    """Return how many songs of a list a share asks for.

    >>> _wanted(0.3, 10), _wanted(0.25, 10), _wanted(0, 10)
    (3, 3, 0)
    """
    return math.ceil(round(share * length, 6))


def _now_ms(listener: Listener) -> int:
    """Return the time of the listener's last play; UNKNOWN if unknown."""
    times = listener.session_details.played_at_ms or listener.history_details.played_at_ms
    return times[-1] if times else UNKNOWN


def _unheard(
    listeners: Sequence[Listener],
    items: NDArray[np.int64],
    numbers: Callable[[Iterable[str]], list[int]],
) -> NDArray[np.bool_]:
    """Return which candidates a listener's histories do not have, bool [B, C]."""
    heard = Ragged.of([numbers({*each.session, *each.history}) for each in listeners])
    return absent(items, heard.values, heard.offsets)
