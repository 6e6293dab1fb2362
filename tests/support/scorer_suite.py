"""What every next-song model keeps to: subclass the suite, and say how one is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segue.models.base import NextSongModel
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import Vocabulary
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.sparse_scores import SparseNextSong
from segue.offline.metrics.ranking import top_songs
from tests.support.toy import paired_sessions, partner, song

PAIRS = 12


def log_of(rows: list[list[int]], listeners: list[int] | None = None) -> SessionLog:
    """Make a log of item numbers, an hour between the sessions, each of its own listener."""
    who = np.arange(len(rows)) if listeners is None else np.array(listeners, np.int64)
    return SessionLog(Ragged.of(rows), who, np.arange(len(rows)) * 3_600_000)


def numbered(sessions: list[list[str]]) -> tuple[SessionLog, Vocabulary]:
    """Number the sessions of a toy world."""
    songs = Vocabulary()
    return log_of([[songs.add(each) for each in row] for row in sessions]), songs


class NextSongSuite:
    """A model fitted on the toy world, in which song 2i is always followed by 2i + 1."""

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls) -> NextSongModel:
        return cls.fit(*numbered(paired_sessions(PAIRS, 200, seed=3)))

    @classmethod
    def fit(cls, log: SessionLog, songs: Vocabulary) -> NextSongModel:
        raise NotImplementedError

    def contexts(self, fitted: NextSongModel, rows: list[list[str]]) -> Contexts:
        number = fitted.vocabulary.number
        return Contexts.of(Ragged.of([[number(each) or 0 for each in row] for row in rows]))

    def many(self, fitted: NextSongModel) -> Contexts:
        """Give sessions of 0 to 8 songs, some of them played again."""
        rng = np.random.default_rng(8)
        rows = [rng.integers(1, 2 * PAIRS + 1, length).tolist() for length in range(9)]
        return Contexts.of(Ragged.of([*rows, [3, 3, 3], [5, 6, 5, 6], list(range(1, 25))]))

    def test_every_song_gets_a_score(self, fitted):
        contexts = self.many(fitted)
        scores = fitted.scores(contexts)
        assert scores.shape == (len(contexts), 2 * PAIRS + 1)
        assert scores.dtype == torch.float32
        assert not scores[:, 1:].isnan().any()

    def test_a_row_does_not_depend_on_its_company(self, fitted):
        contexts = self.many(fitted)
        together = fitted.scores(contexts)
        for row in range(len(contexts)):
            alone = fitted.scores(contexts.slice(row, row + 1))
            assert torch.equal(alone[0, 1:], together[row, 1:])

    def test_the_same_question_gets_the_same_answer(self, fitted):
        first, second = (fitted.scores(self.many(fitted))[:, 1:] for _ in range(2))
        assert torch.equal(first, second)

    def test_the_same_log_gives_the_same_model(self, fitted):
        again = self.fit(*numbered(paired_sessions(PAIRS, 200, seed=3)))
        contexts = self.many(fitted)
        assert torch.equal(again.scores(contexts)[:, 1:], fitted.scores(contexts)[:, 1:])

    def test_an_empty_session_is_no_mistake(self, fitted):
        scores = fitted.scores(self.contexts(fitted, [[]]))[:, 1:]
        assert not scores.isnan().any()

    def test_no_contexts_give_no_scores(self, fitted):
        assert fitted.scores(self.contexts(fitted, [])).shape == (0, 2 * PAIRS + 1)

    def test_partners_are_found(self, fitted):
        evens = [song(2 * pair) for pair in range(PAIRS)]
        contexts = self.contexts(fitted, [[each] for each in evens])
        # That the song is played once more is another matter.
        scores = fitted.scores(contexts).clone()
        scores[torch.arange(PAIRS), contexts.sessions.values] = -torch.inf
        best = top_songs(scores, 1)
        assert fitted.vocabulary.songs(best[:, 0].numpy()) == [partner(each) for each in evens]

    def test_songs_that_nobody_played_are_no_mistake(self):
        log, songs = numbered(paired_sessions(PAIRS, 30, seed=5))
        never = songs.add("never played")
        fitted = self.fit(log, songs)
        scores = fitted.scores(Contexts.of(Ragged.of([[never], [1, never]])))
        assert not scores[:, 1:].isnan().any()

    def test_a_log_of_one_song_is_no_mistake(self):
        fitted = self.fit(log_of([[1]]), Vocabulary(["only"]))
        assert not fitted.scores(Contexts.of(Ragged.of([[1], []])))[:, 1:].isnan().any()


class SparseNextSongSuite(NextSongSuite):
    """The same for models that name a few songs."""

    def test_candidates_are_the_best_of_all(self, fitted: SparseNextSong):
        contexts = self.many(fitted)
        sparse, scores = fitted.sparse_scores(contexts), fitted.scores(contexts)[:, 1:].numpy()
        order = np.argsort(-scores, axis=1, kind="stable") + 1
        for limit in (1, 5, 2 * PAIRS, 2 * PAIRS + 7):
            found = CandidateList.of(sparse, limit)
            assert found.items.shape == found.scores.shape == (len(contexts), limit)
            for row, count in enumerate(np.diff(sparse.offsets).tolist()):
                best = order[row, : min(limit, count)].tolist()
                assert found.items[row].tolist() == best + [0] * (limit - len(best))

    def test_named_songs_score_above_nothing_and_stand_once(self, fitted: SparseNextSong):
        named = fitted.sparse_scores(self.many(fitted))
        assert (named.scores > 0).all()
        for begin, end in zip(named.offsets[:-1], named.offsets[1:], strict=True):
            assert len(set(named.items[begin:end])) == end - begin
