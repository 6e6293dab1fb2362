"""The songs that attention looks at: the latest plays of sessions and of histories, by place."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.attention.network import CandidateAttention, CandidateAttentionConfig
from segue.models.bundles.bundle import Bundle, fitting_parts, network_weights
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary


def attention_windows(contexts: Contexts, recent: int, past: int) -> Tensor:
    """Return the last plays of each context, int64 [B, recent + past], the latest first.

    The first `recent` places are of the running session, the others of the history; places
    without a play are padded with 0.
    """
    return torch.from_numpy(
        np.concatenate([_latest(contexts.sessions, recent), _latest(contexts.histories, past)], 1)
    )


def _latest(rows: Ragged, count: int) -> NDArray[np.int64]:
    wanted = rows.offsets[1:, None] - 1 - np.arange(count)
    return _pick(rows.values, wanted, wanted >= rows.offsets[:-1, None])


class NextPlays:
    """Every play of a log but the first of each session, with the songs before it by place.

    answers: int64 [P], the plays themselves.
    """

    def __init__(self, log: SessionLog, recent: int, past: int) -> None:
        order = np.argsort(log.listeners, kind="stable")  # sessions stay in order of time
        listeners, sessions = log.listeners[order], log.sessions.take(order)
        rows = sessions.row_numbers()
        first_session = np.searchsorted(listeners, listeners)
        begins = sessions.offsets[:-1]
        place = np.arange(len(sessions.values)) - begins[rows]
        self._plays = np.flatnonzero(place > 0)
        self._values = sessions.values
        self._session_begins = begins[rows]
        self._listener_begins = begins[first_session][rows]
        self._recent, self._past = recent, past
        self.answers = sessions.values[self._plays]

    def __len__(self) -> int:
        """Count them."""
        return len(self._plays)

    def windows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the songs before these, as `attention_windows` does."""
        plays = self._plays[rows][:, None]
        begins, first = self._session_begins[plays], self._listener_begins[plays]
        recent = plays - 1 - np.arange(self._recent)
        past = begins - 1 - np.arange(self._past)
        session = _pick(self._values, recent, recent >= begins)
        return np.concatenate([session, _pick(self._values, past, past >= first)], 1)


def _pick(
    values: NDArray[np.int64], wanted: NDArray[np.int64], real: NDArray[np.bool_]
) -> NDArray[np.int64]:
    found = np.full(wanted.shape, PADDING, dtype=np.int64)
    found[real] = values[wanted[real]]
    return found


class CandidateAttentionNextSong:
    """Scores by recent songs and the listener's past; what is popular where there are none."""

    def __init__(self, model: CandidateAttention, vocabulary: Vocabulary) -> None:
        self.model = model
        self.vocabulary = vocabulary

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> CandidateAttentionNextSong:
        """Build it from a verified bundle of kind "amnn"."""
        return cls(candidate_attention_from_bundle(bundle), bundle.vocabulary)

    def song_vectors(self) -> Tensor:
        """Return the vectors of songs as candidates, float32 [V + 1, D], of any length."""
        return self.model.asked.weight.detach()

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        return self.model.all_scores(torch.from_numpy(self.windows(contexts)))

    def windows(self, contexts: Contexts) -> NDArray[np.int64]:
        """Return the songs that are looked at, int64 [B, K], as `attention_windows` does."""
        config = self.model.config
        return attention_windows(contexts, config.recent, config.past).numpy()


def candidate_attention_from_bundle(bundle: Bundle) -> CandidateAttention:
    """Build the network of a bundle, ready to serve; BundleError where its parts do not fit."""
    with fitting_parts(bundle):
        config = msgspec.convert(bundle.manifest.config, CandidateAttentionConfig)
        model = CandidateAttention(config, len(bundle.vocabulary))
        model.load_state_dict(network_weights(bundle))
    return model.eval()
