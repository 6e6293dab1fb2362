"""What the ranker sees: candidates of every retriever, described side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray
from torch import Tensor

from segue.models.attention.inference import AttentionTables
from segue.models.attention.scorer import CandidateAttentionNextSong
from segue.models.cold_start.content_retriever import ContentSongs
from segue.models.data.batching import pad_listeners
from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import PADDING
from segue.models.gru.retriever import GRURetriever, Retrieved
from segue.models.item2vec.retriever import SkipGramSpace, compared, wanted
from segue.models.neighborhood.blend import GatedNextSong
from segue.models.online.retriever import LiveCounts, LiveRetriever, LiveSongs
from segue.models.online.session_knn import LiveConfig
from segue.models.ranking.context_features import asked_ms, describe_moments
from segue.models.ranking.features import (
    LEAST_LOG_PROBABILITY,
    SPARSE,
    Directions,
    SongTables,
    describe_candidates,
)
from segue.models.ranking.inputs import COLUMNS, FeatureTable, RankingInputs, begins_of
from segue.models.ranking.repeat_features import count_repeats
from segue.models.ranking.song_features import Plays, SongTraits
from segue.models.retrieval.candidates import Candidates, Proposals
from segue.models.retrieval.profiles import Likeness


@dataclass(frozen=True)
class RetrievalConfig:
    """How many songs each retriever puts forward.

    By default as few as held 0.99 of the songs that stood in lists when they put forward 100, 100,
    30, 50, 50, 100, 20 and 50: the blend has what the four before it agree on.
    """

    gru: int = 90
    neighbours: int = 75
    tree: int = 5
    rules: int = 30
    items: int = 20
    blend: int = 100
    popularity: int = 12
    skipgram: int = 15
    live: LiveCounts = field(default_factory=LiveCounts)


class Retrieval:
    """Every retriever's candidates for listeners of whom at least one known song was heard."""

    def __init__(
        self,
        gru: GRURetriever,
        amnn: CandidateAttentionNextSong,
        blend: GatedNextSong,
        skipgram: SkipGramSpace,
        traits: SongTraits,
        popularity: NDArray[np.float32],
        recent: NDArray[np.float32],
        config: RetrievalConfig | None = None,
        live: LiveConfig | None = None,
        content: ContentSongs | None = None,
    ) -> None:
        """Take models of one vocabulary.

        blend: of the models BLENDED. popularity, recent: play counts, float32 [V + 1]; recent:
        those of late, decayed. live: how what is played at present is asked. content: songs that
        need no play; None where the ranker has not learned what they are worth.
        """
        self.gru = gru
        self.amnn = amnn
        self._attends = AttentionTables.of(amnn.model)
        self.blend = blend
        self.skipgram = skipgram
        self.traits = traits
        self.config = config or RetrievalConfig()
        share = (popularity + 1) / (popularity.sum() + len(popularity))
        late = (recent + 1e-3) / (recent.sum() + 1e-3 * len(recent))
        self._popular = np.argsort(-recent[1:], kind="stable")[: self.config.popularity] + 1
        self.content = content
        self.live = LiveRetriever(
            blend.vocabulary,
            gru.vectors.numpy(),
            share.astype(np.float32),
            live,
            self.config.live,
            content,
        )
        self._songs = SongTables(
            gru.index.rows,
            skipgram.index.rows,
            np.log(share).astype(np.float32),
            (np.log(late) - np.log(share)).astype(np.float32),
            traits.tables,
            self._attends,
            self.live.shares,
            self.live.config.trending_plays,
        )

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
            Proposals.of(each, getattr(self.config, name))
            for name, each in zip(SPARSE, named, strict=True)
        ]
        near = self.skipgram.likeness(contexts)
        nearest = self.skipgram.retrieve(near, self.config.skipgram)
        popular = np.tile(self._popular, (count, 1))
        rest = Proposals(popular, np.ones(popular.shape, np.float32))
        direction = wanted(near)
        when = asked_ms(contexts)
        live = self.live.find(contexts.moments, direction, when)
        mine = _by_score(found, count)
        united = Candidates.of([mine, *proposals, nearest, rest, *live.proposals])
        like = Likeness.of(self.live.vectors, contexts)
        directions = self._directions(contexts, found, like, near, direction, when)
        told = self._told(united, contexts, directions, live)
        return RankingInputs(
            torch.from_numpy(united.items),
            told,
            self._contexts(contexts, found, [np.diff(each.offsets) for each in named], live),
            found.states[:count],
            torch.from_numpy(like.listener),
            torch.from_numpy(like.lately),
            torch.from_numpy(like.session),
            torch.from_numpy(near.listener),
            united.ranks,
            live.songs,
            live.new_songs(),
        )

    def _directions(
        self,
        contexts: Contexts,
        found: Retrieved,
        like: Likeness,
        near: Likeness,
        direction: NDArray[np.float32],
        when: NDArray[np.int64],
    ) -> Directions:
        """Give what candidates are compared with.

        direction: float32 [B, S], see `wanted`. when: int64 [B], see `asked_ms`.
        """
        count = len(contexts)
        by_likeness = (like.last, like.session, like.listener, like.lately)
        return Directions(
            np.stack([found.queries[:count].numpy(), *by_likeness], 1),
            compared(near),
            direction[:, None],
            self.amnn.places(contexts),
            found.log_new[:count].numpy(),
            when,
        )

    def _told(
        self, united: Candidates, contexts: Contexts, directions: Directions, live: LiveSongs
    ) -> FeatureTable:
        """Describe candidates."""
        begins = begins_of(united.items)
        told = np.empty((begins[-1], COLUMNS), np.float32)
        plays, unknown = Plays.of(contexts), live.unknown_songs()
        for asking in live.asking():
            describe_candidates(
                united.items,
                united.scores,
                united.ranks,
                self._songs,
                plays,
                directions,
                unknown,
                asking,
                begins,
                told,
            )
        return FeatureTable(told, begins)

    def reasons(self, contexts: Contexts, items: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Give AMNN's heaviest songs for each item, int64 [B, n], as `AttentionTables.reasons`."""
        songs, shares = self._attends.reasons(self.amnn.places(contexts), items.numpy(), most)
        return torch.from_numpy(songs), torch.from_numpy(shares)

    def _contexts(
        self,
        contexts: Contexts,
        found: Retrieved,
        named: Sequence[NDArray[np.int64]],
        live: LiveSongs,
    ) -> Tensor:
        count = len(contexts)
        plays = contexts.sessions.lengths
        repeats, last = count_repeats(contexts.sessions.values, contexts.sessions.offsets)
        history = contexts.histories.lengths
        columns = [
            np.log1p(plays),
            repeats / np.maximum(plays, 1),
            last,
            np.log1p(history),
            history > 0,
            # torch.sigmoid rounds the last rows of a batch otherwise than the rest.
            F.logsigmoid(found.gate[:count]).exp_().numpy(),
            found.scores[:count].amax(1).clamp_min_(LEAST_LOG_PROBABILITY).numpy(),
            plays > 0,
            *(np.log1p(count) for count in (*named, live.named, live.plays)),
        ]
        stacked = np.stack([column.astype(np.float32) for column in columns], 1)
        return torch.from_numpy(np.concatenate([stacked, describe_moments(contexts)], 1))


def _by_score(found: Retrieved, count: int) -> Proposals:
    """Put the GRU's candidates and the songs heard before in the order of their scores."""
    scores, order = found.scores[:count].sort(dim=1, descending=True, stable=True)
    items = found.items[:count].gather(1, order).masked_fill_(scores == -torch.inf, PADDING)
    return Proposals(items.numpy(), scores.numpy())
