"""The hybrid as a next-song model: generate candidates with their features, then rank them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segue.models.attention.network import CandidateAttention
from segue.models.bundles.bundle import Bundle, fitting_parts
from segue.models.cold_start.audio_embeddings import VECTORS, EmbeddedSongs
from segue.models.data.ragged import Ragged
from segue.models.data.sessions import Contexts, SessionLog
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.gru.network import GRU
from segue.models.hybrid.candidate_generation import CandidateGenerator
from segue.models.hybrid.config import HybridConfig
from segue.models.hybrid.parts import HybridParts, assemble_parts, fit_blended
from segue.models.neighborhood.blend import GatedNextSong, NewSongs
from segue.models.neighborhood.repeat_gate import RepeatGate
from segue.models.ranking.inference import ServingRanker
from segue.models.ranking.inputs import RankingInputs
from segue.models.ranking.ranker import Ranker
from segue.models.ranking.song_features import SongTraits
from segue.models.retrieval.ann_index import index_of


class HybridNextSong:
    """Candidates score the logarithm of their share; all other songs score -inf.

    Where nothing of a listener is known, songs score the logarithm of their share of all plays.
    """

    def __init__(
        self,
        generator: CandidateGenerator,
        ranker: Ranker,
        vocabulary: Vocabulary,
        popularity: Tensor,
    ) -> None:
        """popularity: play counts of training, float32 [V + 1]."""
        self.generator = generator
        self.parts: HybridParts = generator.parts
        self.ranker = ranker.eval()
        self.serving = ServingRanker(ranker, self.parts.gru.index.rows)
        self.vocabulary = vocabulary
        self._popularity = (popularity / popularity.sum()).log()

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> HybridNextSong:
        """Build it from a verified bundle of kind "hybrid"."""
        with fitting_parts(bundle):
            config = msgspec.convert(bundle.manifest.config, HybridConfig)
            gru = GRU(config.gru, len(bundle.vocabulary))
            gru.load_state_dict(_part(bundle.weights, "gru"))
            amnn = CandidateAttention(config.amnn, len(bundle.vocabulary))
            amnn.load_state_dict(_part(bundle.weights, "amnn"))
            memory = _memory(_part(bundle.weights, "memory"))
            learned = _part(bundle.weights, "blend")
            gate = RepeatGate(learned["gate"].numpy())
            traits = SongTraits(
                *(bundle.weights[f"songs.{name}"].numpy() for name in ("artists", "ages", "hours"))
            )
            skipgram = bundle.weights["skipgram.vectors"]
            by_models = learned["new_songs"].numpy()
            embedded = embedded_songs(bundle, config)
            popularity = bundle.weights["popularity"]
            models = fit_blended(memory, bundle.vocabulary, config)
            new_songs = NewSongs(by_models, np.log1p(models[0].popularity))
            blend = GatedNextSong(models, gate, new_songs)
            index = index_of(bundle, gru.item_vectors())
            generator = CandidateGenerator(
                assemble_parts(
                    gru, amnn, blend, skipgram, traits, popularity, memory, config, embedded, index
                )
            )
            ranker = new_ranker(generator)
            ranker.load_state_dict(_part(bundle.weights, "ranker"))
        return cls(generator, ranker, bundle.vocabulary, popularity)

    def song_vectors(self) -> Tensor:
        """Return every song's vector of length 1, float32 [V + 1, dim]; row 0 is zeros."""
        return self.parts.gru.vectors

    @torch.inference_mode()
    def rank(self, contexts: Contexts) -> tuple[RankingInputs, Tensor]:
        """Return the candidates of each context and their log-shares, float32 [B, C].

        Each context has a known song in its session or its history.
        """
        inputs = self.generator.generate(contexts)
        return inputs, self.shares(inputs)

    def shares(self, inputs: RankingInputs) -> Tensor:
        """Return the candidates' log-shares, float32 [B, C]; -inf where there is none."""
        return self.serving.shares(inputs)

    @torch.inference_mode()
    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]."""
        scores = self._popularity.repeat(len(contexts), 1)
        rows = contexts.known()
        if len(rows):
            inputs, shares = self.rank(contexts.take(rows))
            ranked = torch.full((len(rows), scores.shape[1]), -torch.inf)
            ranked.scatter_(1, inputs.known_items, shares)
            ranked[:, PADDING] = -torch.inf
            scores[rows] = ranked
        return scores

    def attributions(
        self, contexts: Contexts, items: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the played songs that AMNN attends to most for each item, int64 [B, n, limit].

        items: int64 [B, n]. And their weights, float32: see `AttentionTables.reasons`.
        """
        return self.generator.attention.reasons(self.parts.amnn.windows(contexts), items, limit)


def new_ranker(generator: CandidateGenerator) -> Ranker:
    """Return an untrained ranker of a generator's candidates."""
    config = generator.parts.config
    return Ranker(
        *(config.ranker, config.gru.dim, config.gru.hidden, config.skipgram.dim),
        features=generator.schema.names,
    )


def hybrid_weights(
    parts: HybridParts, ranker: Ranker, memory: SessionLog, popularity: Tensor
) -> dict[str, Tensor]:
    """Return the tensors of a bundle, from which `from_bundle` makes the same model."""
    tensors: dict[str, Mapping[str, Tensor]] = {
        "gru": parts.gru.model.state_dict(),
        "amnn": parts.amnn.model.state_dict(),
        "ranker": ranker.state_dict(),
        "blend": {
            "gate": torch.from_numpy(parts.blend.gate.weights),
            "new_songs": torch.from_numpy(parts.blend.new_songs.weights),
        },
        "skipgram": {"vectors": parts.skipgram.vectors},
        "songs": {
            "artists": torch.from_numpy(parts.traits.artists),
            "ages": torch.from_numpy(parts.traits.ages),
            "hours": torch.from_numpy(parts.traits.hours),
        },
    }
    named = {f"{part}.{name}": t for part, own in tensors.items() for name, t in own.items()}
    return {**named, **memory_weights(memory), "popularity": popularity}


def embedded_songs(bundle: Bundle, config: HybridConfig) -> EmbeddedSongs | None:
    """Return the songs that a hybrid knows by their audio; None where its ranker uses none.

    RuntimeError where their vectors are of another space.
    """
    if config.content is None:
        return None
    found = EmbeddedSongs.of(bundle.weights)
    if len(found) and found.vectors.shape[1] != config.skipgram.dim:
        size = found.vectors.shape[1]
        raise RuntimeError(f"{VECTORS} has {size} numbers a song, not {config.skipgram.dim}")
    return found


def memory_of(bundle: Bundle) -> SessionLog:
    """Return the sessions that a hybrid's neighbours, rules, runs and recent popularity are of."""
    return _memory(_part(bundle.weights, "memory"))


def memory_weights(memory: SessionLog) -> dict[str, Tensor]:
    """Return the tensors of those sessions, from which `memory_of` makes the same."""
    return {
        "memory.songs": torch.from_numpy(memory.sessions.values.astype(np.int32)),
        "memory.offsets": torch.from_numpy(memory.sessions.offsets.copy()),
    }


def _part(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}."): t for key, t in weights.items() if key.startswith(f"{name}.")
    }


def _memory(kept: Mapping[str, Tensor]) -> SessionLog:
    offsets = kept["offsets"].numpy()
    order = np.arange(len(offsets) - 1)
    return SessionLog(Ragged(kept["songs"].numpy().astype(np.int64), offsets), order, order)
