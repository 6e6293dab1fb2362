"""Listeners of the page: their plays, and the list that answered the last one."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

from segue.stream.messages.events import RecommendationList

KEPT_PLAYS = 50
MAX_LISTENERS = 1_000
MAX_PLAYS_PER_S = 10


@dataclass(frozen=True)
class PlayedSong:
    """One play. sent_s: monotonic seconds. rank: its rank in the list before it, from 1."""

    event_id: str
    song_id: str
    skipped: bool
    sent_s: float
    rank: int | None


@dataclass(frozen=True)
class Response:
    """The list for a play. latency_ms: from sending the play to receiving the list.

    previous_ranks: song id -> rank, from 1, in the list before this one.
    """

    recommendations: RecommendationList
    latency_ms: float
    previous_ranks: dict[str, int]


class Listener:
    """One listener and their last list."""

    def __init__(self) -> None:
        self.user_id = f"ui-{secrets.token_hex(6)}"
        self.plays: deque[PlayedSong] = deque(maxlen=KEPT_PLAYS)
        self.response: Response | None = None
        self._sent = self._answered = 0  # numbers of plays, from 1

    def may_play(self, now_s: float) -> bool:
        """Return whether the rate limit allows one more play."""
        return sum(now_s - one.sent_s < 1 for one in self.plays) < MAX_PLAYS_PER_S

    def add_play(self, song_id: str, skipped: bool, now_s: float) -> PlayedSong:
        """Record a play that is about to be sent."""
        ranks = _ranks(self.response.recommendations) if self.response else {}
        self._sent += 1
        event_id = f"{self.user_id}-{self._sent}"
        one = PlayedSong(event_id, song_id, skipped, now_s, ranks.get(song_id))
        self.plays.append(one)
        return one

    def remove_play(self, one: PlayedSong) -> None:
        """Remove a play that could not be sent."""
        if one in self.plays:
            self.plays.remove(one)

    def receive(self, recommendations: RecommendationList, now_s: float) -> bool:
        """Accept a list, unless it is a duplicate or older than the one shown."""
        event_id = recommendations.cause.event_id
        one = next((one for one in self.plays if one.event_id == event_id), None)
        number = int(event_id.rpartition("-")[2]) if one else 0
        if one is None or number <= self._answered:
            return False
        ranks = _ranks(self.response.recommendations) if self.response else {}
        self.response = Response(recommendations, (now_s - one.sent_s) * 1000, ranks)
        self._answered = number
        return True

    def waiting_s(self, now_s: float) -> float:
        """Return the seconds since the last play if its list is missing, else 0."""
        if not self.plays or self._answered >= self._sent:
            return 0.0
        return now_s - self.plays[-1].sent_s


class Listeners:
    """Listeners by the secret in their browser's cookie, and by user id.

    The secret is not the user id, which everybody who reads the topics can see.
    """

    def __init__(self) -> None:
        self._by_secret: OrderedDict[str, Listener] = OrderedDict()
        self._by_user: dict[str, Listener] = {}

    def find(self, secret: str | None) -> Listener | None:
        """Return the listener of a browser, or None."""
        found = self._by_secret.get(secret or "")
        if secret and found:
            self._by_secret.move_to_end(secret)
        return found

    def find_user(self, user_id: str) -> Listener | None:
        """Return the listener with this user id, or None."""
        return self._by_user.get(user_id)

    def create(self) -> str:
        """Create a listener and return the secret for its browser."""
        secret = secrets.token_urlsafe(32)
        self.replace(secret)
        if len(self._by_secret) > MAX_LISTENERS:
            _, gone = self._by_secret.popitem(last=False)
            del self._by_user[gone.user_id]
        return secret

    def replace(self, secret: str) -> Listener:
        """Create another listener, without plays, for a browser."""
        gone = self._by_secret.get(secret)
        if gone is not None:
            del self._by_user[gone.user_id]
        listener = Listener()
        self._by_secret[secret] = self._by_user[listener.user_id] = listener
        return listener


def _ranks(recommendations: RecommendationList) -> dict[str, int]:
    return {song.song_id: rank for rank, song in enumerate(recommendations.items, 1)}
