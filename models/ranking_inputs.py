"""What the ranker sees: candidates of every retriever, described side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from models.candidate_attention_next_song import CandidateAttentionNextSong
from models.candidates import Candidates, Proposals
from models.gated_next_song import GatedNextSong
from models.gru_retriever import GRURetriever, Retrieved
from models.inner_products import inner_products
from models.next_song import Contexts
from models.ragged import Ragged
from models.replays import count_repeats, when_heard
from models.serving_attention import AttentionTables
from models.sessions import pad_listeners
from models.sparse_scores import SparseScores, best_named, totals
from models.vocabulary import PADDING

BLENDED = ("neighbours", "tree", "rules", "items")
"""The models behind the repeat gate, in their order there."""
RETRIEVERS = ("gru", *BLENDED, "blend", "popularity")
CANDIDATE_FEATURES = (
    *("gru", "gru_rank", "amnn", "neighbours", "neighbours_rank", "tree", "tree_rank"),
    *("rules", "rules_rank", "items", "items_rank", "blend", "blend_rank", "popularity", "trend"),
    *("in_session", "session_ago", "session_plays", "in_history", "history_ago", "history_plays"),
    *("is_last", "like_last", "like_session", "like_listener"),
)
CONTEXT_FEATURES = (
    *("plays", "repeats", "last_was_repeat", "history", "has_history"),
    *("heard", "surest", "known"),
    *("neighbours_named", "tree_named", "rules_named", "items_named", "blend_named"),
)
SPARSE = (*BLENDED, "blend")
LEAST_SHARE = 1e-4
LEAST_LOG_PROBABILITY = -20.0


@dataclass(frozen=True)
class RankingInputs:
    """B listeners and their C candidates.

    items: int64 [B, C], 0 behind the last. candidates: float32 [B, C, F], CANDIDATE_FEATURES.
    contexts: float32 [B, G], CONTEXT_FEATURES. states: float32 [B, hidden], the GRU's.
    listeners, sessions: float32 [B, D], the mean vectors of what they heard before and of what
    the session holds. ranks: int32 [B, C, K], place by retriever, 0 where it had no part.
    """

    items: Tensor
    candidates: Tensor
    contexts: Tensor
    states: Tensor
    listeners: Tensor
    sessions: Tensor
    ranks: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the listeners."""
        return len(self.items)

    def take(self, rows: Tensor) -> RankingInputs:
        """Give some of the listeners, int64 [R]."""
        return RankingInputs(
            self.items[rows],
            self.candidates[rows],
            self.contexts[rows],
            self.states[rows],
            self.listeners[rows],
            self.sessions[rows],
            self.ranks[rows.numpy()],
        )


@dataclass(frozen=True)
class RetrievalConfig:
    """How many songs each retriever puts forward."""

    gru: int = 100
    neighbours: int = 100
    tree: int = 30
    rules: int = 50
    items: int = 50
    blend: int = 100
    popularity: int = 20


class Retrieval:
    """Every retriever's candidates for listeners of whom at least one known song was heard."""

    def __init__(
        self,
        gru: GRURetriever,
        amnn: CandidateAttentionNextSong,
        blend: GatedNextSong,
        popularity: NDArray[np.float32],
        recent: NDArray[np.float32],
        config: RetrievalConfig | None = None,
    ) -> None:
        """Take models of one vocabulary.

        blend: of the models BLENDED. popularity, recent: play counts, float32 [V + 1]; recent:
        those of late, decayed.
        """
        self.gru = gru
        self.amnn = amnn
        self._attends = AttentionTables.of(amnn.model)
        self.blend = blend
        self.config = config or RetrievalConfig()
        share = torch.from_numpy((popularity + 1) / (popularity.sum() + len(popularity)))
        late = torch.from_numpy((recent + 1e-3) / (recent.sum() + 1e-3 * len(recent)))
        self._popularity = share.log().float()
        self._trend = (late.log() - share.log()).float()
        self._popular = np.argsort(-recent[1:], kind="stable")[: self.config.popularity] + 1

    @torch.no_grad()
    def inputs(self, contexts: Contexts) -> RankingInputs:
        """Retrieve and describe. Each context has a song in its session or its history."""
        plays = contexts.histories.joined(contexts.sessions)
        network = self.gru.model.config
        batch = pad_listeners(
            plays, contexts.sessions.lengths, network.max_length, network.max_history
        )
        found = self.gru.retrieve(batch, self.config.gru)
        count = batch.count
        named = [model.named(contexts) for model in self.blend.models]
        named.append(self.blend.blended(contexts, named))
        proposals = [
            _proposals(each, getattr(self.config, name))
            for name, each in zip(SPARSE, named, strict=True)
        ]
        popular = np.tile(self._popular, (count, 1))
        rest = Proposals(popular, np.ones(popular.shape, np.float32))
        united = Candidates.of([_by_score(found, count), *proposals, rest])
        items = torch.from_numpy(united.items)
        heard = torch.from_numpy(when_heard(united.items, *_columns(contexts)))
        vectors = self.gru.vectors
        likeness = _Likeness.of(vectors, plays, contexts)
        # One pass over the candidates' vectors for everything they are compared with.
        against = torch.stack([found.queries[:count], *likeness.directions], 1)  # [B, 4, D]
        products = torch.from_numpy(
            inner_products(vectors.numpy(), united.items, against.numpy())
        )  # [B, C, 4]
        candidates = torch.stack(
            [
                self._log_probabilities(found, united, products[:, :, 0]),
                _reciprocal(united.ranks, 0),
                self._attention(contexts, items),
                *(
                    feature
                    for place in range(1, len(SPARSE) + 1)
                    for feature in (
                        _log_share(united.scores[:, :, place]),
                        _reciprocal(united.ranks, place),
                    )
                ),
                self._popularity[items],
                self._trend[items],
                *heard.unbind(2),
                *products[:, :, 1:].unbind(2),
            ],
            dim=2,
        )
        candidates.masked_fill_((items == PADDING).unsqueeze(2), 0.0)
        return RankingInputs(
            items,
            candidates,
            self._contexts(contexts, found, count, [np.diff(each.offsets) for each in named]),
            found.states[:count],
            likeness.listener,
            likeness.session,
            united.ranks,
        )

    def _log_probabilities(self, found: Retrieved, united: Candidates, products: Tensor) -> Tensor:
        """Give the GRU's log P(next = i) of every candidate, its own or not, [B, C]."""
        told = torch.from_numpy(united.scores[:, :, 0])
        reckoned = products + found.log_new[: len(told)].unsqueeze(1)
        return torch.where(told.isnan(), reckoned, told).clamp_(LEAST_LOG_PROBABILITY, 0.0)

    def _attention(self, contexts: Contexts, items: Tensor) -> Tensor:
        """Give each candidate's share by AMNN among the candidates, a logarithm, [B, C]."""
        shares = self._attends.log_shares(self.amnn.places(contexts), items.numpy())
        return torch.from_numpy(shares).clamp_(LEAST_LOG_PROBABILITY, 0.0)

    def reasons(
        self, contexts: Contexts, items: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give the songs that AMNN looked at, int64 [B, K], and how much each spoke for items.

        items: int64 [B, n]. The weights, float32 [B, n, K], are `AttentionTables.weights`.
        """
        places = self.amnn.places(contexts)
        return places, self._attends.weights(places, items)

    def _contexts(
        self,
        contexts: Contexts,
        found: Retrieved,
        count: int,
        named: Sequence[NDArray[np.int64]],
    ) -> Tensor:
        plays = contexts.sessions.lengths
        repeats, last = count_repeats(contexts.sessions.values, contexts.sessions.offsets)
        history = contexts.histories.lengths
        columns = [
            np.log1p(plays),
            repeats / np.maximum(plays, 1),
            last,
            np.log1p(history),
            history > 0,
            torch.sigmoid(found.gate[:count]).numpy(),
            found.scores[:count].amax(1).clamp_min_(LEAST_LOG_PROBABILITY).numpy(),
            plays > 0,
            *(np.log1p(count) for count in named),
        ]
        return torch.from_numpy(np.stack([c.astype(np.float32) for c in columns], 1))


@dataclass(frozen=True)
class _Likeness:
    """Unit vectors that candidates are compared with, float32 [B, D]; 0 where there is none."""

    last: Tensor
    session: Tensor
    listener: Tensor

    @property
    def directions(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.last, self.session, self.listener

    @classmethod
    def of(cls, vectors: Tensor, plays: Ragged, contexts: Contexts) -> _Likeness:
        last = vectors[torch.from_numpy(plays.values[plays.offsets[1:] - 1])]
        return cls(last, _mean(vectors, contexts.sessions), _mean(vectors, contexts.histories))


def _mean(vectors: Tensor, songs: Ragged) -> Tensor:
    """Give the direction of the mean of each row's vectors, float32 [B, D]."""
    rows = torch.from_numpy(songs.row_numbers())
    total = torch.zeros(len(songs), vectors.shape[1])
    total.index_add_(0, rows, vectors[torch.from_numpy(songs.values)])
    return F.normalize(total, dim=1)


def _proposals(named: SparseScores, most: int) -> Proposals:
    """Give a model's best songs, scored by their share of all that it named."""
    items, scores = best_named(named.items, named.scores, named.offsets, most)
    sums = totals(named.scores, named.offsets)
    shares = np.where(items == PADDING, 0, scores) / np.maximum(sums, 1e-30)[:, None]
    return Proposals(items, shares.astype(np.float32))


def _by_score(found: Retrieved, count: int) -> Proposals:
    """Put the GRU's candidates and the songs heard before in the order of their scores."""
    scores, order = found.scores[:count].sort(dim=1, descending=True, stable=True)
    items = found.items[:count].gather(1, order).masked_fill_(scores == -torch.inf, PADDING)
    return Proposals(items.numpy(), scores.numpy())


def _reciprocal(ranks: NDArray[np.int32], retriever: int) -> Tensor:
    mine = ranks[:, :, retriever].astype(np.float32)
    return torch.from_numpy(np.where(mine > 0, 1 / np.maximum(mine, 1), 0).astype(np.float32))


def _log_share(shares: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.log(np.nan_to_num(shares) + LEAST_SHARE).astype(np.float32))


def _columns(contexts: Contexts) -> tuple[NDArray[np.int64], ...]:
    sessions, histories = contexts.sessions, contexts.histories
    return sessions.values, sessions.offsets, histories.values, histories.offsets
