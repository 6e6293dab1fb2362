"""Those who listen on the page: what each has heard, and the list that answered it."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

from segue.stream.messages.events import RecommendationList

KEPT_PLAYS = 50
MOST_LISTENERS = 1_000
MOST_PLAYS_PER_S = 10


@dataclass(frozen=True)
class Heard:
    """One play. sent_s: monotonic seconds. rank: its place in the list before it, from 1."""

    event_id: str
    song_id: str
    skipped: bool
    sent_s: float
    rank: int | None


@dataclass(frozen=True)
class Answer:
    """The list for a play. latency_ms: from the play's sending until it was here.

    before: song id -> place, from 1, in the list that this one follows.
    """

    made: RecommendationList
    latency_ms: float
    before: dict[str, int]


class Listener:
    """One who listens, and has the last list for it."""

    def __init__(self) -> None:
        self.user_id = f"ui-{secrets.token_hex(6)}"
        self.heard: deque[Heard] = deque(maxlen=KEPT_PLAYS)
        self.answer: Answer | None = None
        self.plays = self._answered = 0

    def may_play(self, now_s: float) -> bool:
        """Tell whether one more play in this second is what a person may do."""
        return sum(now_s - one.sent_s < 1 for one in self.heard) < MOST_PLAYS_PER_S

    def hear(self, song_id: str, skipped: bool, now_s: float) -> Heard:
        """Take down a play that is about to be sent."""
        ranks = _ranks(self.answer.made) if self.answer else {}
        self.plays += 1
        event_id = f"{self.user_id}-{self.plays}"
        one = Heard(event_id, song_id, skipped, now_s, ranks.get(song_id))
        self.heard.append(one)
        return one

    def take_back(self, one: Heard) -> None:
        """Forget a play that could not be sent."""
        if one in self.heard:
            self.heard.remove(one)

    def take(self, made: RecommendationList, now_s: float) -> bool:
        """Take a list, unless it is a repeat or older than the one that is shown."""
        one = next((one for one in self.heard if one.event_id == made.cause.event_id), None)
        number = int(made.cause.event_id.rpartition("-")[2]) if one else 0
        if one is None or number <= self._answered:
            return False
        before = _ranks(self.answer.made) if self.answer else {}
        self.answer = Answer(made, (now_s - one.sent_s) * 1000, before)
        self._answered = number
        return True

    def waits_s(self, now_s: float) -> float:
        """Give the seconds for which the last play has waited for its list; 0 where it has it."""
        if not self.heard or self._answered >= self.plays:
            return 0.0
        return now_s - self.heard[-1].sent_s


class Listeners:
    """Listeners by what their browsers hold of them, a secret, and by user id.

    The secret is no user id: that one is read by everybody who reads the topics.
    """

    def __init__(self) -> None:
        self._by_secret: OrderedDict[str, Listener] = OrderedDict()
        self._by_user: dict[str, Listener] = {}

    def find(self, secret: str | None) -> Listener | None:
        """Give the listener of a browser, or None."""
        found = self._by_secret.get(secret or "")
        if secret and found:
            self._by_secret.move_to_end(secret)
        return found

    def of_user(self, user_id: str) -> Listener | None:
        """Give the listener of this user id, or None."""
        return self._by_user.get(user_id)

    def invite(self) -> str:
        """Begin with a new listener, and give the secret for its browser."""
        secret = secrets.token_urlsafe(32)
        self.renew(secret)
        if len(self._by_secret) > MOST_LISTENERS:
            _, gone = self._by_secret.popitem(last=False)
            del self._by_user[gone.user_id]
        return secret

    def renew(self, secret: str) -> Listener:
        """Give a browser another listener, who has heard nothing."""
        gone = self._by_secret.get(secret)
        if gone is not None:
            del self._by_user[gone.user_id]
        listener = Listener()
        self._by_secret[secret] = self._by_user[listener.user_id] = listener
        return listener


def _ranks(made: RecommendationList) -> dict[str, int]:
    return {song.song_id: place for place, song in enumerate(made.items, 1)}
