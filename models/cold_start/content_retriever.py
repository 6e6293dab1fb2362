"""Songs that no model knows and that need no play to be found: by metadata, or by their sound.

Each stands in the skip-gram space among the songs that it resembles: where the bundle has a
vector that was predicted from its sound, there; else where known songs of its album, artist or
genres are. Its vector among the GRU's songs is the mean of those of the known songs nearest to
it. A song that has plays stands between its content and its company in them,

    unit((1 - w) content + w company),    w = plays / (plays + config.plays),

and one that a model knows is none of these.
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

Number = TypeVar("Number", bound=np.generic)
NEVER_MS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ContentConfig:
    """songs: put forward for each listener. nearest: known songs that tell of a song's place
    among the GRU's. plays: after which its company tells as much of a song as its content.
    """

    songs: int = 30
    nearest: int = 10
    plays: float = 3.0

    def __post_init__(self) -> None:
        for name in ("songs", "nearest", "plays"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")


class ContentSongs:
    """A table of N such songs, numbered from 1 as they come; it follows a catalogue.

    songs: who they are. vectors: float32 [N + 1, S], of length 1, or 0 of a song that nothing
    places. artists: int32 [N + 1], the numbers that the model's own songs have, 0 for none.
    twins: float32 [N + 1], how many songs are placed just alike, itself included; 0 for none.
    What it holds is a function of the bundle and the catalogue, in whatever steps that came.
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
        """Take the songs that a model knows, their places, and what is known by sound.

        vectors: the GRU's, float32 [V + 1, D]. artists: int32 [V + 1].
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
        self._among, self._placed = np.zeros((0, size), np.float32), np.zeros(0, np.bool_)
        self._alike = np.zeros(0, np.int64)
        self._placing = Lock()
        self._take(np.arange(len(self.songs) + 1))
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
        """Take up what the catalogue says by now. Free where it says nothing new."""
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
            self._take(np.arange(len(self.songs) + 1))
        else:
            fresh = np.arange(len(self.songs) + 1) >= len(self.vectors)
            self._take((fresh | differ[self._rows]).nonzero()[0])

    def nearest(self, directions: NDArray[np.float32], now_ms: NDArray[np.int64]) -> CandidateList:
        """Give the songs nearest to directions, float32 [B, S], in their numbers here.

        now_ms: int64 [B], UNKNOWN where nobody says; what comes out later is not found. Of
        songs as near as each other the one that came first stands first.
        """
        queries = torch.from_numpy(directions)
        # Always as many rows, so that a row's bits do not depend on its company.
        padded = F.pad(queries, (0, 0, 0, -len(queries) % ROW_BLOCK))
        cosines = (padded @ self._transposed)[: len(queries)].numpy()
        return CandidateList(*_best(cosines, self._released_ms, now_ms, self.config.songs))

    def among_known(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors among the GRU's songs, float32 [N + 1, D], with those of `numbers` in it."""
        with self._placing:
            return self._place_among(np.unique(numbers))

    def _place_among(self, fresh: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give them, those of distinct numbers placed."""
        fresh = fresh[~self._placed[fresh] & self.vectors[fresh].any(1)]
        if len(fresh):
            # Songs that stand in one place are looked up once.
            places, which = np.unique(self.vectors[fresh], axis=0, return_inverse=True)
            _, items = self._space.nearest(places, self.config.nearest)
            found = mean_directions(self._known_vectors, Ragged.of(items.tolist()))
            self._among[fresh] = found[which.ravel()]
            self._placed[fresh] = True
        return self._among

    def _number(self, song_ids: Sequence[str]) -> None:
        """Number the songs of new rows of the catalogue that the model does not know."""
        items, rows = [], []
        for row in range(len(self._items), len(song_ids) + 1):
            items.append(self._vocabulary.number(song_ids[row - 1]) or PADDING)
            if items[-1] == PADDING:
                number = self.songs.add(song_ids[row - 1])
                if number < len(self._rows):
                    self._rows[number] = row  # known by its sound before
                else:
                    rows.append(row)
        self._items = np.append(self._items, np.array(items, np.int64))
        self._rows = np.append(self._rows, np.array(rows, np.int64))

    def _take(self, numbers: NDArray[np.int64]) -> None:
        """Place these songs anew; what is told of all of them follows."""
        missing = len(self.songs) + 1 - len(self.vectors)
        self.vectors = _longer(self.vectors, missing)
        self._among, self._placed = _longer(self._among, missing), _longer(self._placed, missing)
        self._alike = _longer(self._alike, missing)
        self.vectors[numbers], self._alike[numbers] = self._groups.place(
            self._columns, self._rows[numbers]
        )
        heard = numbers[(numbers > 0) & (numbers <= len(self._embedded))]
        if len(heard):
            self.vectors[heard] = self._embedded.vectors[heard - 1]
            self._alike[heard] = PADDING  # each stands alone
        self._among[numbers], self._placed[numbers] = 0, False
        self.twins = np.bincount(self._alike)[self._alike].astype(np.float32)
        self.twins[self._alike == PADDING] = self.vectors[self._alike == PADDING].any(1)
        self.artists = self._artists()
        # What nothing places is never out.
        released_ms = self._columns.released_ms[self._rows]
        self._released_ms = np.where(self.vectors.any(1), released_ms, NEVER_MS)
        self._transposed = torch.from_numpy(self.vectors[1:].T.copy())

    def _artists(self) -> NDArray[np.int32]:
        """Give each song's artist in the model's numbers, by the model's songs of the same."""
        known, artists = self._items.nonzero()[0], self._columns.artists
        numbers = np.zeros(int(artists.max(initial=0)) + 1, np.int32)
        numbers[artists[known]] = self._known_artists[self._items[known]]
        numbers[0] = 0
        return numbers[artists[self._rows]]

    def _known_rows(self) -> NDArray[np.int64]:
        """Give each known item's row of the catalogue, int64 [V + 1]; 0 for none."""
        rows = np.zeros(len(self._vocabulary) + 1, np.int64)
        known = self._items.nonzero()[0]
        rows[self._items[known]] = known
        return rows


def _longer(rows: NDArray[Number], missing: int) -> NDArray[Number]:
    """Put rows of zeros behind."""
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])


@compiled
def _best(
    cosines: NDArray[np.float32],
    released_ms: NDArray[np.int64],
    now_ms: NDArray[np.int64],
    most: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give the songs of the greatest cosines, [B, most], greatest first, and those; 0 for none.

    cosines: float32 [B, N], of songs 1 to N. released_ms: int64 [N + 1].
    """
    items = np.zeros((len(cosines), most), np.int64)
    scores = np.zeros((len(cosines), most), np.float32)
    for row in range(len(cosines)):
        now, found = now_ms[row], 0
        if now == UNKNOWN:
            now = NEVER_MS - 1
        for place in range(cosines.shape[1]):
            score = cosines[row, place]
            if (found == most and score <= scores[row, most - 1]) or released_ms[place + 1] > now:
                continue
            slot = min(found, most - 1)
            while slot > 0 and scores[row, slot - 1] < score:
                items[row, slot], scores[row, slot] = items[row, slot - 1], scores[row, slot - 1]
                slot -= 1
            items[row, slot], scores[row, slot] = place + 1, score
            found = min(found + 1, most)
    return items, scores
