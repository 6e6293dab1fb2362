"""Content-based retrieval of songs that no model knows and that need no play to be found.

Each has a vector in the skip-gram space: where the bundle has one predicted from audio, that;
else one from known songs of its album, artist or genres. Its vector among the GRU's is the mean
of those of the known songs nearest to it. The vector of a song that has plays is

    unit((1 - w) content + w co-occurrence),    w = plays / (plays + config.plays),

and a song that a model knows is none of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray

from segue.models.cold_start.audio_embeddings import EmbeddedSongs
from segue.models.cold_start.metadata_embeddings import GroupDirections
from segue.models.data.batching import ROW_BLOCK
from segue.models.data.catalogue import Catalogue, SongColumns
from segue.models.data.play_metadata import UNKNOWN
from segue.models.data.ragged import Ragged
from segue.models.data.vocabulary import PADDING, Vocabulary
from segue.models.item2vec.retriever import SkipGramRetriever
from segue.models.ops.jit import compiled
from segue.models.retrieval.candidates import CandidateList
from segue.models.retrieval.profiles import mean_directions
from segue.models.validation import require_above

Number = TypeVar("Number", bound=np.generic)
NEVER_MS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ContentConfig:
    """songs: retrieved for each listener. nearest: known songs whose GRU vectors are averaged.

    plays: after which co-occurrence weighs as much as content.
    """

    songs: int = 30
    nearest: int = 10
    plays: float = 3.0

    def __post_init__(self) -> None:
        require_above(self, 0, "songs", "nearest", "plays")


class ContentSongs:
    """A table of N such songs, numbered from 1 as they come; it follows a catalogue.

    songs: their ids. vectors: float32 [N + 1, S], of length 1, or 0 of a song of which nothing
    is known. artists: int32 [N + 1], the numbers that the model's own songs have, 0 for none.
    twins: float32 [N + 1], how many songs have the same vector, itself included; 0 for none.
    It is a function of the bundle and the catalogue, in whatever steps that came.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        space: SkipGramRetriever,
        vectors: NDArray[np.float32],
        artists: NDArray[np.int32],
        config: ContentConfig | None = None,
        embedded: EmbeddedSongs | None = None,
    ) -> None:
        """vocabulary: the songs that a model knows. space: with their skip-gram vectors.

        vectors: the GRU's, float32 [V + 1, D]. artists: int32 [V + 1]. embedded: from audio.
        """
        self.config = config or ContentConfig()
        self._vocabulary, self._space = vocabulary, space
        self._known_vectors, self._known_artists = vectors, artists
        self._embedded = (embedded or EmbeddedSongs()).without(vocabulary)
        self.songs = Vocabulary(self._embedded.song_ids)
        self._version = -1
        self._items = np.zeros(1, np.int64)  # by row of the catalogue: the model's item
        self._columns = SongColumns.unknown(1)  # as last seen
        self._rows = np.zeros(len(self.songs) + 1, np.int64)  # by song: its row there
        self._groups = GroupDirections.of(
            self._columns, np.zeros(len(vocabulary) + 1, np.int64), space.rows
        )
        size = vectors.shape[1]
        self.vectors = np.zeros((0, space.rows.shape[1]), np.float32)
        self._among, self._computed = np.zeros((0, size), np.float32), np.zeros(0, np.bool_)
        self._alike = np.zeros(0, np.int64)
        self._computing = Lock()
        self._embed(np.arange(len(self.songs) + 1))
        # Compiled now, and not while the first new song's listeners wait.
        _best(np.zeros((1, 1), np.float32), self._released_ms, np.zeros(1, np.int64), 1)

    def __len__(self) -> int:
        """Count the songs."""
        return len(self.songs)

    @property
    def known_places(self) -> NDArray[np.float32]:
        """The vectors of the model's songs in the skip-gram space, float32 [V + 1, S]."""
        return self._space.rows

    def update(self, catalogue: Catalogue) -> None:
        """Follow the catalogue to its present version. Costs nothing where that is the same."""
        if catalogue.version == self._version:
            return
        self._version = catalogue.version
        was = len(self._items)
        self._number(catalogue.rows.song_ids)
        columns = catalogue.columns.first(len(self._items))
        before = self._columns.joined(SongColumns.unknown(len(self._items) - was))
        differ = (columns.albums != before.albums) | (columns.artists != before.artists)
        differ |= (columns.genres != before.genres).any(1)
        self._columns = columns
        if (differ & (self._items > 0)).any():
            self._groups = GroupDirections.of(columns, self._known_rows(), self._space.rows)
            self._embed(np.arange(len(self.songs) + 1))
        else:
            fresh = np.arange(len(self.songs) + 1) >= len(self.vectors)
            self._embed((fresh | differ[self._rows]).nonzero()[0])

    def nearest(self, directions: NDArray[np.float32], now_ms: NDArray[np.int64]) -> CandidateList:
        """Return the songs nearest to directions, float32 [B, S], by their numbers here.

        now_ms: int64 [B], or UNKNOWN; songs released later are not found. Of equal cosines the
        song that came first comes first.
        """
        queries = torch.from_numpy(directions)
        # In blocks of rows, so that a row's bits do not depend on the batch.
        padded = F.pad(queries, (0, 0, 0, -len(queries) % ROW_BLOCK))
        cosines = (padded @ self._transposed)[: len(queries)].numpy()
        return CandidateList(*_best(cosines, self._released_ms, now_ms, self.config.songs))

    def among_known(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return vectors among the GRU's, float32 [N + 1, D], those of `numbers` computed."""
        with self._computing:
            return self._compute_among(np.unique(numbers))

    def _compute_among(self, fresh: NDArray[np.int64]) -> NDArray[np.float32]:
        """fresh: distinct numbers."""
        fresh = fresh[~self._computed[fresh] & self.vectors[fresh].any(1)]
        if len(fresh):
            # Songs of one vector are looked up once.
            distinct, which = np.unique(self.vectors[fresh], axis=0, return_inverse=True)
            _, items = self._space.nearest(distinct, self.config.nearest)
            found = mean_directions(self._known_vectors, Ragged.of(items.tolist()))
            self._among[fresh] = found[which.ravel()]
            self._computed[fresh] = True
        return self._among

    def _number(self, song_ids: Sequence[str]) -> None:
        """Number the songs of new rows of the catalogue that the model does not know."""
        items, rows = [], []
        for row in range(len(self._items), len(song_ids) + 1):
            items.append(self._vocabulary.number(song_ids[row - 1]) or PADDING)
            if items[-1] == PADDING:
                number = self.songs.add(song_ids[row - 1])
                if number < len(self._rows):
                    self._rows[number] = row  # known from audio before
                else:
                    rows.append(row)
        self._items = np.append(self._items, np.array(items, np.int64))
        self._rows = np.append(self._rows, np.array(rows, np.int64))

    def _embed(self, numbers: NDArray[np.int64]) -> None:
        """Compute the vectors of these songs again, and what follows from all vectors."""
        missing = len(self.songs) + 1 - len(self.vectors)
        self.vectors = _longer(self.vectors, missing)
        self._among, self._computed = (
            _longer(self._among, missing),
            _longer(self._computed, missing),
        )
        self._alike = _longer(self._alike, missing)
        self.vectors[numbers], self._alike[numbers] = self._groups.embed(
            self._columns, self._rows[numbers]
        )
        embedded = numbers[(numbers > 0) & (numbers <= len(self._embedded))]
        if len(embedded):
            self.vectors[embedded] = self._embedded.vectors[embedded - 1]
            self._alike[embedded] = PADDING  # each has a vector of its own
        self._among[numbers], self._computed[numbers] = 0, False
        self.twins = np.bincount(self._alike)[self._alike].astype(np.float32)
        self.twins[self._alike == PADDING] = self.vectors[self._alike == PADDING].any(1)
        self.artists = self._artists()
        # A song without a vector is never released.
        released_ms = self._columns.released_ms[self._rows]
        self._released_ms = np.where(self.vectors.any(1), released_ms, NEVER_MS)
        self._transposed = torch.from_numpy(self.vectors[1:].T.copy())

    def _artists(self) -> NDArray[np.int32]:
        """Return each song's artist in the model's numbers, by the model's songs of the same."""
        known, artists = self._items.nonzero()[0], self._columns.artists
        numbers = np.zeros(int(artists.max(initial=0)) + 1, np.int32)
        numbers[artists[known]] = self._known_artists[self._items[known]]
        numbers[0] = 0
        return numbers[artists[self._rows]]

    def _known_rows(self) -> NDArray[np.int64]:
        """Return each known item's row of the catalogue, int64 [V + 1]; 0 for none."""
        rows = np.zeros(len(self._vocabulary) + 1, np.int64)
        known = self._items.nonzero()[0]
        rows[self._items[known]] = known
        return rows


def _longer(rows: NDArray[Number], missing: int) -> NDArray[Number]:
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])


@compiled
def _best(
    cosines: NDArray[np.float32],
    released_ms: NDArray[np.int64],
    now_ms: NDArray[np.int64],
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the songs of the greatest cosines, [B, limit], and these, greatest first; 0 for none.

    cosines: float32 [B, N], of songs 1 to N. released_ms: int64 [N + 1].
    """
    items = np.zeros((len(cosines), limit), np.int64)
    scores = np.zeros((len(cosines), limit), np.float32)
    for row in range(len(cosines)):
        now, found = now_ms[row], 0
        if now == UNKNOWN:
            now = NEVER_MS - 1
        for song in range(1, cosines.shape[1] + 1):
            score = cosines[row, song - 1]
            if (found == limit and score <= scores[row, limit - 1]) or released_ms[song] > now:
                continue
            slot = min(found, limit - 1)
            while slot > 0 and scores[row, slot - 1] < score:
                items[row, slot], scores[row, slot] = items[row, slot - 1], scores[row, slot - 1]
                slot -= 1
            items[row, slot], scores[row, slot] = song, score
            found = min(found + 1, limit)
    return items, scores
