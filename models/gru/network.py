"""The recurrent playlist model: a session in, the direction of its next song out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from segue.models.bundles.bundle import Bundle, fitting_parts, network_weights
from segue.models.data.batching import ROW_BLOCK
from segue.models.data.vocabulary import PADDING
from segue.models.gru.repeat_head import NEVER, PlayHistory, RepeatHead
from segue.models.ops.dropout import dropped
from segue.models.ops.negative_sampling import Negatives
from segue.models.validation import require_above, require_at_least, require_share


@dataclass(frozen=True)
class GRUConfig:
    """The network's shape and how it is trained; bad values raise ValueError.

    dim: numbers in a song's vector. hidden: numbers in the recurrent state.
    max_length: plays of a session that count, the last ones.
    max_history: plays of the listener's earlier sessions that count, the last ones.
    dropout: share of the input vectors' numbers zeroed in training. heard_dropout: of the
    state's, before the repeat head.
    min_count: songs with fewer plays in the training data are left out.
    batch_plays: plays to learn from at one step.
    """

    dim: int = 128
    hidden: int = 128
    # Cosines lie in [-1, 1]; a softmax over 10^5 of them is flat unless they are stretched.
    scale: float = 14.0
    negatives: int = 2048
    # By play count (1) rather than evenly (0): of 0.5, 0.75 and 1 the best MRR@20 on
    # #nowplaying.
    sampling_power: float = 1.0
    # Up to here the whole softmax costs no more than drawing from it.
    full_softmax_songs: int = 8192
    dropout: float = 0.25
    # The state knows every session by heart long before it knows who repeats.
    heard_dropout: float = 0.5
    max_length: int = 50
    max_history: int = 100
    min_count: int = 1
    batch_plays: int = 2048
    learning_rate: float = 2e-3
    # Adagrad's, whose steps shrink with every play of a song: hence a hundred times the other.
    song_learning_rate: float = 0.2

    def __post_init__(self) -> None:
        whole = ("dim", "hidden", "negatives", "max_length", "min_count", "batch_plays")
        require_above(self, 0, *whole, "scale", "learning_rate", "song_learning_rate")
        require_at_least(self, 0, "full_softmax_songs", "sampling_power", "max_history")
        require_share(self, "dropout", "heard_dropout")


class GRU(nn.Module):
    """A gated recurrent network over a session (Cho et al., 2014; Hidasi et al., 2016).

    The playlist RNN's h_t = F(W x_t + U h_{t-1}), with a GRU cell for F and W, U; its
    p(o_ti | h_t) = exp(v_i h) / sum_j exp(v_j h), where the same table W = V holds the songs'
    vectors going in and coming out, and v_i h is the cosine between the song and the
    (projected) state, times `config.scale`. It sums over the songs that are new to the session
    and its listener; repeats are the business of `heard` (models/gru/repeat_head.py).
    """

    def __init__(self, config: GRUConfig, songs: int) -> None:
        """Make room for `songs` songs; to be filled by `initialise` or `load_state_dict`."""
        super().__init__()
        self.config = config
        with torch.device("meta"):  # or else their makers would draw from the global generator
            self.songs = nn.Embedding(songs + 1, config.dim, padding_idx=PADDING, sparse=True)
            self.recurrence = nn.GRU(config.dim, config.hidden, batch_first=True)
            self.projection = (
                nn.Identity()
                if config.hidden == config.dim
                else nn.Linear(config.hidden, config.dim)
            )
            self.heard = RepeatHead(config.dim, config.hidden)
        self.to_empty(device="cpu")

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw every weight anew."""
        bound = 1 / math.sqrt(self.config.hidden)
        for parameter in self.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
        self.songs.weight.normal_(0.0, 0.1, generator=generator)
        self.songs.weight[PADDING] = 0.0

    @torch.no_grad()
    def states(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the state after each session's last play, float32 [B, hidden].

        items: int64 [B, T], right-padded with 0; lengths: int64 [B], >= 1. B is a multiple of
        ROW_BLOCK, so that a row depends neither on the other rows nor on the padding.
        """
        assert len(items) % ROW_BLOCK == 0, f"{len(items)} rows are not whole blocks"
        # Longest first, so that each step runs the sessions that last so long, and few others.
        lengths, order = lengths.sort(descending=True, stable=True)
        steps = torch.arange(int(lengths[0]), device=items.device)
        ranks = torch.arange(len(items), device=items.device)
        running = (lengths > steps.unsqueeze(1)).sum(1)  # [T]
        running = (running + ROW_BLOCK - 1) // ROW_BLOCK * ROW_BLOCK
        tokens = items[order, : len(steps)].T[ranks < running.unsqueeze(1)]
        states: Tensor = self.recurrence(PackedSequence(self.songs(tokens), running.cpu()))[0].data
        first_of_step = running.cumsum(0) - running
        return states[first_of_step[lengths - 1] + ranks][order.argsort()]

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        """Return every song's vector of length 1, float32 [V + 1, dim]; row 0 is zeros."""
        return F.normalize(self.songs.weight, dim=-1)

    def loss(
        self, items: Tensor, histories: Tensor, negatives: Negatives, generator: torch.Generator
    ) -> Tensor:
        """Return the mean cross-entropy of every next song of every session.

        items: int64 [B, T], right-padded with 0, T >= 2. histories: int64 [B, H], what the
        listeners played before, left-padded with 0. The softmax's sum over all new songs is the
        answer's own term plus the drawn songs', each weighted by how many it stands for (Bengio
        and Senecal, 2008): right on average whatever the songs were drawn by.
        """
        session, answers = items[:, :-1].contiguous(), items[:, 1:]
        ends = torch.arange(session.shape[1], device=items.device).expand_as(session)
        history = PlayHistory(torch.cat([histories, session], 1), histories.shape[1], ends)
        inputs = dropped(self.songs(session), self.config.dropout, generator, bernoulli=True)
        states, _ = self.recurrence(inputs)
        # The head learns from the states and vectors, not they from it: repeats are few and
        # would bend them. So dropout of its own stands between.
        seen = dropped(states.detach(), self.config.heard_dropout, generator, bernoulli=True)
        sources = self.songs(history.sources).detach()
        total, new = self.heard.loss(seen, sources, history, answers)
        total = total + self._new_song_loss(states, answers, new, history, negatives)
        return total / (answers != PADDING).sum()

    def _new_song_loss(
        self,
        states: Tensor,
        answers: Tensor,
        new: Tensor,
        history: PlayHistory,
        negatives: Negatives,
    ) -> Tensor:
        """Return the cross-entropy of the answers that are `new`, bool [B, T], among new songs."""
        queries, wanted = self.queries(states[new]), answers[new]  # [P, dim], [P]
        answer_logits = (queries * F.normalize(self.songs(wanted), dim=-1)).sum(-1)
        vectors = F.normalize(self.songs(negatives.items), dim=-1)  # [K, dim]
        logits = F.linear(queries, vectors, negatives.log_weights)  # [P, K]
        # The answer has its own term, and songs played before do not compete.
        logits[negatives.find(wanted)] = NEVER
        logits[_find_played(history, new, negatives)] = NEVER
        return (torch.logaddexp(answer_logits, logits.logsumexp(1)) - answer_logits).sum()

    def queries(self, states: Tensor) -> Tensor:
        """Turn states float32 [..., hidden] into what new songs' vectors are multiplied with."""
        return self.config.scale * F.normalize(self.projection(states), dim=-1)


def _find_played(history: PlayHistory, new: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
    """Return where a prediction's negative was played before: (rows of `new`, columns)."""
    columns = negatives.columns(history.sources)  # [B, S]
    session, source = (columns >= 0).nonzero(as_tuple=True)
    numbers = torch.full(new.shape, -1, device=new.device)
    numbers[new] = torch.arange(int(new.sum()), device=new.device)
    rows = numbers[session]  # [hits, T]
    reached = history.ends[session] + history.history >= source.unsqueeze(1)
    hit, position = ((rows >= 0) & reached).nonzero(as_tuple=True)
    return rows[hit, position], columns[session, source][hit]


def gru_from_bundle(bundle: Bundle) -> GRU:
    """Build the network of a bundle, ready to serve; BundleError where its parts do not fit."""
    with fitting_parts(bundle):
        config = msgspec.convert(bundle.manifest.config, GRUConfig)
        model = GRU(config, len(bundle.vocabulary))
        model.load_state_dict(network_weights(bundle))
    return model.eval()
