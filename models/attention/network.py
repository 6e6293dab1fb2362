"""AMNN for the next song: attention over recent songs that depends on the candidate.

The paper's weights (1) and (2) are the same whichever song is asked for, and know no order.
Here each recent song speaks for a candidate by a logit of its own, and what weighs it is how
well it speaks for this candidate, how recent it is, and, as in (1) and (2), what song it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from torch import Tensor, nn

from segue.models.data.batching import ROW_BLOCK
from segue.models.data.vocabulary import PADDING
from segue.models.ops.dropout import dropped
from segue.models.ops.negative_sampling import Negatives
from segue.models.validation import require_above, require_at_least, require_share

# Scores of so many songs are worked out together over the whole catalogue.
CATALOGUE_CHUNK = 4096


@dataclass(frozen=True)
class CandidateAttentionConfig:
    """The network's shape and how it is trained; bad values raise ValueError.

    dim: numbers in a song's vector. recent: last plays of the session that are looked at.
    past: plays of the listener's earlier sessions, the last ones. dropout: share of
    the recent songs' numbers zeroed in training. negatives: songs drawn for each batch, by the
    power `sampling_power` of their play counts. batch_plays: next songs learned from at one step.
    """

    dim: int = 64
    recent: int = 10
    past: int = 5
    dropout: float = 0.25
    negatives: int = 512
    sampling_power: float = 1.0
    batch_plays: int = 1024
    learning_rate: float = 3e-3
    # Adagrad's, whose steps shrink with every play of a song.
    song_learning_rate: float = 0.1

    def __post_init__(self) -> None:
        whole = ("dim", "recent", "negatives", "batch_plays")
        require_above(self, 0, *whole, "learning_rate", "song_learning_rate")
        require_at_least(self, 0, "past", "sampling_power")
        require_share(self, "dropout")

    @property
    def window(self) -> int:
        """How many songs are looked at: recent ones, then past ones."""
        return self.recent + self.past


class CandidateAttention(nn.Module):
    """Each recent song s_k has a logit for a candidate c; attention is the softmax over k.

        l_k(c) = p_k + g_k x_k . y_c + u . tanh(w x_k + b) + r_k [s_k = c]
        weight_k(c) = exp(l_k(c)) / sum_j exp(l_j(c))
        score(c) = log sum_k exp(l_k(c)) + v_c

    x_k is the recent song's vector and y_c the candidate's: two tables, as what follows a song
    is not what it follows. p_k and g_k say how much the k-th place back counts and how sharply
    it chooses, r_k what it means that the candidate is the very song played there, and v_c how
    often c is played at all. The softmax over all songs of the scores is a mixture of what each
    recent song alone predicts, and the weight is the share of recent song k in c's
    probability; so it is also the attribution.
    """

    def __init__(self, config: CandidateAttentionConfig, songs: int) -> None:
        """Make room for `songs` songs; to be filled by `initialise` or `load_state_dict`."""
        super().__init__()
        self.config = config
        with torch.device("meta"):  # or else their makers would draw from the global generator
            self.heard = nn.Embedding(songs + 1, config.dim, padding_idx=PADDING, sparse=True)
            self.asked = nn.Embedding(songs + 1, config.dim, padding_idx=PADDING, sparse=True)
            self.often = nn.Embedding(songs + 1, 1, padding_idx=PADDING, sparse=True)
            self.preference = nn.Linear(config.dim, config.dim)
            self.context = nn.Linear(config.dim, 1, bias=False)
            self.place = nn.Parameter(torch.empty(config.window))
            self.sharpness = nn.Parameter(torch.empty(config.window))
            self.again = nn.Parameter(torch.empty(config.window))
        self.to_empty(device="cpu")

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, popularity: Tensor) -> None:
        """Draw every weight anew, and begin from play counts, float32 [V + 1]."""
        for table in (self.heard.weight, self.asked.weight):
            table.normal_(0.0, 0.1, generator=generator)
            table[PADDING] = 0.0
        share = popularity / popularity.sum()
        self.often.weight.copy_(share.clamp(min=torch.finfo(share.dtype).tiny).log().unsqueeze(1))
        self.often.weight[PADDING] = 0.0
        bound = 1 / math.sqrt(self.config.dim)
        self.preference.weight.uniform_(-bound, bound, generator=generator)
        self.preference.bias.zero_()
        self.context.weight.zero_()
        self.place.copy_(-0.5 * torch.arange(self.config.window))
        self.sharpness.fill_(1.0)
        self.again.fill_(2.0)

    def score(self, places: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Score candidates and say which recent songs speak for each.

        places: item numbers, int64 [B, K], the latest play first, as `attention_windows` does;
        candidates: int64 [B, C]. Returns scores, float32 [B, C], and weights, float32
        [B, C, K], which sum to 1 over K and are 0 for padding. Without any song in `places`
        scores are play counts alone and all weights 0.
        """
        logits = self._logits(places, candidates, *self._keys(places)).transpose(1, 2)  # [B, C, K]
        scores = logits.logsumexp(-1) + self.often(candidates).squeeze(-1)
        empty = (places == PADDING).all(1, keepdim=True)
        popular = self.often(candidates).squeeze(-1)
        weights = logits.softmax(-1).masked_fill((places == PADDING).unsqueeze(1), 0.0)
        return torch.where(empty, popular, scores), weights

    @torch.inference_mode()
    def all_scores(self, places: Tensor) -> Tensor:
        """Score the whole catalogue, float32 [B, V + 1], as `score` would; column 0 is -inf.

        A row depends neither on the other rows nor on how many they are.
        """
        count, songs = len(places), self.often.num_embeddings
        places = F.pad(places, (0, 0, 0, -count % ROW_BLOCK), value=PADDING)
        scores = torch.empty(len(places), songs)
        keys = self._keys(places)
        for start in range(0, songs, CATALOGUE_CHUNK):
            chunk = torch.arange(start, min(start + CATALOGUE_CHUNK, songs))
            scores[:, chunk] = self._shared(places, chunk, *keys)
        empty = (places == PADDING).all(1)
        scores[empty] = self.often.weight[:, 0]
        scores[:, PADDING] = -torch.inf
        return scores[:count]

    def loss(
        self, places: Tensor, answers: Tensor, negatives: Negatives, generator: torch.Generator
    ) -> Tensor:
        """Return the mean cross-entropy of the answers, int64 [B], after places, int64 [B, K].

        The softmax's sum over all songs is the answer's own term, those of the recent songs
        themselves, which a retrieval would always bring, and the drawn songs', each weighted by
        how many it stands for (Bengio and Senecal, 2008).
        """
        keys = self._keys(places, generator)
        certain = torch.cat([answers.unsqueeze(1), places], 1)  # [B, 1 + K]
        logits = self._logits(places, certain, *keys).logsumexp(1)
        logits = logits + self.often(certain).squeeze(-1)
        lowest = torch.finfo(logits.dtype).min
        logits = logits.masked_fill(_repeated(certain), lowest)
        drawn = self._shared(places, negatives.items, *keys) + negatives.log_weights
        for column in certain.T:  # these have their own terms
            rows, columns = negatives.find(column.contiguous())
            drawn[rows, columns] = lowest
        entropy: Tensor = torch.cat([logits, drawn], 1).logsumexp(1) - logits[:, 0]
        return entropy.mean()

    def _logits(self, places: Tensor, candidates: Tensor, keys: Tensor, prior: Tensor) -> Tensor:
        """Return l_k(c), float32 [B, K, C], of each row's own candidates [B, C]."""
        logits: Tensor = keys @ self.asked(candidates).transpose(1, 2) + prior.unsqueeze(-1)
        same = places.unsqueeze(-1) == candidates.unsqueeze(1)
        return logits + same.float() * self.again[: places.shape[1]].unsqueeze(-1)

    def _shared(self, places: Tensor, songs: Tensor, keys: Tensor, prior: Tensor) -> Tensor:
        """Return the scores, float32 [B, S], of the same ascending songs, int64 [S], for all."""
        logits: Tensor = keys @ self.asked(songs).T + prior.unsqueeze(-1)  # [B, K, S]
        shared = Negatives(songs, torch.zeros(len(songs)))
        for k, column in enumerate(places.T):
            rows, columns = shared.find(column.contiguous())
            logits[rows, k, columns] += self.again[k]
        scores: Tensor = logits.logsumexp(1) + self.often(songs).squeeze(-1)
        return scores

    def _keys(
        self, places: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return g_k x_k, float32 [B, K, dim], and what of l_k no candidate changes, [B, K]."""
        count = places.shape[1]
        vectors = dropped(self.heard(places), self.config.dropout, generator)
        song = self.context(torch.tanh(self.preference(vectors))).squeeze(-1)
        lowest = torch.finfo(song.dtype).min / 4  # not -inf: an empty row would become NaN
        prior = (self.place[:count] + song).masked_fill(places == PADDING, lowest)
        return vectors * self.sharpness[:count].unsqueeze(-1), prior


def _repeated(songs: Tensor) -> Tensor:
    """Return which songs of a row stood before in it, or are padding; int64 [B, C] -> bool."""
    same = songs.unsqueeze(2) == songs.unsqueeze(1)
    return same.tril(-1).any(-1) | (songs == PADDING)
