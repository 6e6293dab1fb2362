"""What a next-song model is, whatever is inside: a context in, a score for every song out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from segue.models.data.sessions import Contexts
from segue.models.data.vocabulary import Vocabulary


@runtime_checkable
class NextSongModel(Protocol):
    """Scores every song of its vocabulary as the next one. Deterministic; rows do not mix."""

    vocabulary: Vocabulary

    def scores(self, contexts: Contexts) -> Tensor:
        """Score every song for each context, float32 [B, V + 1]; higher is better.

        contexts: in the item numbers of `vocabulary`. Column 0 (padding) means nothing. -inf
        says that the model would not recommend the song at all. A model that can say nothing
        of a context, as its session is empty, gives the whole row -inf, or what is popular.
        """
        ...


@runtime_checkable
class HasSongVectors(Protocol):
    """A model in which songs are near to each other or far."""

    vocabulary: Vocabulary

    def song_vectors(self) -> Tensor:
        """Return each song's vector, float32 [V + 1, D]; their cosine says how alike songs are."""
        ...
