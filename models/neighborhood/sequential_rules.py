"""Sequential rules: what is played after a song, or with it (Ludewig and Jannach, 2018).

A rule a -> b weighs the sum, over all plays of a and later plays of b in the same session, of
1 / distance (sequential rules, SR), of 1 (association rules, AR, which look backwards too), or
of 1 where b comes at once (a first-order Markov chain). A session is answered by the rules of
its last song; with `memory` those of the songs before it count as well, each `memory` times
what the song after it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segue.models.data.sessions import SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.neighborhood.transition_matrix import RelatedSongs, Relations
from segue.models.validation import require_at_least


@dataclass(frozen=True)
class RulesConfig:
    """Which plays make a rule, and what it weighs.

    steps: the farthest apart that two plays are, in places. falling: weigh by 1 / distance.
    both_ways: a rule b -> a for each a -> b. memory: what a song counts, relative to the song
    after it; 0: the last song alone. half_life: of a session's weight, as a share of
    the log; inf: all count alike. most: rules that a song keeps.
    """

    steps: int = 10
    falling: bool = True
    both_ways: bool = False
    memory: float = 0.0
    half_life: float = np.inf
    most: int = 500

    def __post_init__(self) -> None:
        require_at_least(self, 1, "steps", "most")
        if not 0 <= self.memory <= 1:
            raise ValueError(f"memory must lie in [0, 1], got {self.memory!r}")
        if not self.half_life > 0:
            raise ValueError(f"half_life must be > 0, got {self.half_life!r}")


class Rules(RelatedSongs):
    """Scores by the rules of the session's songs."""

    @classmethod
    def fit(cls, log: SessionLog, vocabulary: Vocabulary, config: RulesConfig) -> Self:
        """Count the rules of a log."""
        relations = Relations.of(rule_matrix(log, len(vocabulary), config), config.most)
        return cls(vocabulary, log.play_counts(vocabulary), relations, config.memory)


def rule_matrix(log: SessionLog, songs: int, config: RulesConfig) -> sparse.csr_matrix:
    """Weigh each rule: float32 [V + 1, V + 1], from the song in the row to that in the column.

    A song is no rule for itself: that it is played again is another matter.
    """
    values, rows = log.sessions.values, log.sessions.row_numbers()
    weight = session_weights(len(log), config.half_life)[rows]
    matrix = sparse.csr_matrix((songs + 1, songs + 1), dtype=np.float32)
    for step in range(1, config.steps + 1):
        together = (rows[step:] == rows[:-step]) & (values[step:] != values[:-step])
        if not together.any():
            continue
        weights = weight[step:][together] / (step if config.falling else 1)
        pairs = values[:-step][together], values[step:][together]
        matrix += sparse.csr_matrix((weights, pairs), matrix.shape)
    return matrix + matrix.T if config.both_ways else matrix


def session_weights(sessions: int, half_life: float) -> NDArray[np.float32]:
    """Return the weight of each session of a log, float32 [S]; the last 1.

    half_life: share of the log's sessions after which one weighs half; inf: all weigh 1.

    >>> np.round(session_weights(4, 0.5).astype(float), 2).tolist()
    [0.35, 0.5, 0.71, 1.0]
    """
    age = np.arange(sessions)[::-1] / max(sessions, 1)
    return np.exp2(-age / half_life).astype(np.float32)
