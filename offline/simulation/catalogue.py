"""The songs of a generated world: who made them, when they came out, what they lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segue.offline.datasets.play_log import SONGS_SCHEMA
from segue.offline.simulation.config import DAY_MS, GENRES, WorldConfig

FIRST = (
    "Amber", "Borrowed", "Brass", "Careless", "Cobalt", "Copper", "Crooked", "Distant",
    "Drowsy", "Early", "Faded", "Feather", "Folded", "Gentle", "Glass", "Gravel",
    "Hollow", "Hushed", "Idle", "Indigo", "Ivory", "Lantern", "Little", "Lonesome",
    "Lucky", "Marble", "Midnight", "Misty", "Mossy", "Narrow", "Northern", "Orange",
    "Paper", "Patient", "Pebble", "Plaid", "Quiet", "Restless", "Rusty", "Salted",
    "Scarlet", "Second", "Silken", "Sleepy", "Slow", "Tangled", "Timid", "Wandering",
)  # fmt: skip
SECOND = (
    "Accordion", "Almanac", "Anchor", "Avenue", "Bicycle", "Boathouse", "Bonfire", "Bramble",
    "Carousel", "Cathedral", "Chimney", "Compass", "Corridor", "Cupboard", "Dovecote", "Elevator",
    "Estuary", "Fountain", "Gazebo", "Hammock", "Harbour", "Hedgerow", "Hourglass", "Inkwell",
    "Juniper", "Kettle", "Ladder", "Lighthouse", "Marmalade", "Meadow", "Metronome", "Orchard",
    "Pavilion", "Pendulum", "Periscope", "Quarry", "Reservoir", "Saucer", "Snowfall", "Staircase",
    "Teapot", "Telegraph", "Terrace", "Thimble", "Trolley", "Umbrella", "Weathervane", "Windmill",
)  # fmt: skip


def unlike_names(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` names of which no two are the same."""
    pairs = rng.permutation(len(FIRST) * len(SECOND))
    return [_name(int(pairs[n % len(pairs)]), n // len(pairs)) for n in range(count)]


def song_names(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` names; two songs may share one, as songs do."""
    return [_name(int(pair), 0) for pair in rng.integers(len(FIRST) * len(SECOND), size=count)]


def _name(pair: int, round_: int) -> str:
    name = f"{FIRST[pair // len(SECOND)]} {SECOND[pair % len(SECOND)]}"
    return f"{name} {round_ + 1}" if round_ else name


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LINKS = 6  # songs of its own artist, and as many of related artists, that a song leads to
RELATED_ARTISTS = 3
TRACKS = (4, 12)  # fewest and most songs on an album
MOST_ALBUMS = 4  # to an artist
OLDEST_RELEASE_DAYS = 3650


@dataclass(frozen=True)
class Catalogue:
    """Songs in the order of genre, artist, album and track; a song's number is its row.

    All int64 [songs] but `weight`, float64 [songs], the song's popularity after Zipf, and the
    links, int64 [songs, LINKS], which hold what a listener may turn to after the song: some of
    its artist, and some of related artists of its genre. All songs of an artist share their
    links, so that what is learnt of one song helps with the others. `released_day` counts from
    the stream's first day and is negative for songs that were there before. `next_track` names
    the song itself at the end of an album.
    """

    genre: Ints
    artist: Ints
    album: Ints
    released_day: Ints
    weight: Floats
    duration_ms: Ints
    next_track: Ints
    artist_links: Ints
    related_links: Ints

    @classmethod
    def generate(cls, config: WorldConfig, rng: np.random.Generator) -> Catalogue:
        """Found artists, let them record albums, and tell which songs will be loved."""
        album = _owners(rng.integers(TRACKS[0], TRACKS[1] + 1, size=config.songs), config.songs)
        albums = int(album[-1]) + 1
        per_artist = np.minimum(rng.geometric(0.55, size=albums), MOST_ALBUMS)
        artist_of_album = _owners(per_artist, albums)
        artist = artist_of_album[album]
        genre_of_artist = _genres(int(artist[-1]) + 1, config.genres, rng)
        weight = _popularity(artist, config.popularity_exponent, rng)
        last_track = np.append(np.diff(album) > 0, True)
        numbers = np.arange(config.songs)
        own = np.repeat(np.arange(len(genre_of_artist))[:, None], LINKS, axis=1)
        return cls(
            genre=genre_of_artist[artist],
            artist=artist,
            album=album,
            released_day=_release_days(artist_of_album, genre_of_artist, album, config, rng)[album],
            weight=weight,
            duration_ms=rng.integers(150_000, 300_001, size=config.songs),
            next_track=np.where(last_track, numbers, numbers + 1),
            artist_links=_draw_in_artist(own, artist, weight, rng)[artist],
            related_links=_related_links(artist, genre_of_artist, weight, rng)[artist],
        )

    def song_ids(self) -> list[str]:
        """Return the id of every song, in the order of the rows."""
        width = len(str(len(self.genre) - 1))
        return [f"song-{number:0{width}}" for number in range(len(self.genre))]

    def frames(self, starts_at_ms: int, rng: np.random.Generator) -> tuple[pl.DataFrame, ...]:
        """Return SONGS_SCHEMA with made-up names, and (song_id, genre, released_at_ms)."""
        song_id = pl.Series("song_id", self.song_ids(), pl.String)
        artists = np.array(unlike_names(int(self.artist[-1]) + 1, rng))
        albums = np.array(song_names(int(self.album[-1]) + 1, rng))
        titles = song_names(len(self.genre), rng)
        songs = pl.DataFrame(
            {
                "song_id": song_id,
                "title": titles,
                "artist": artists[self.artist].tolist(),
                "album": albums[self.album].tolist(),
            },
            schema=SONGS_SCHEMA,
        )
        known = pl.DataFrame(
            {
                "song_id": song_id,
                "genre": np.array(GENRES)[self.genre].tolist(),
                "released_at_ms": starts_at_ms + self.released_day * DAY_MS,
            }
        )
        return songs, known


def _owners(sizes: Ints, count: int) -> Ints:
    """Hand out `count` things in runs of `sizes`: the owner of each, int64 [count].

    >>> _owners(np.array([2, 3, 1, 1, 1, 1]), 6).tolist()
    [0, 0, 1, 1, 1, 2]
    """
    return np.repeat(np.arange(len(sizes)), sizes)[:count]


def _genres(artists: int, genres: int, rng: np.random.Generator) -> Ints:
    """Return each artist a genre, in rising order, each genre at least one, the first the most."""
    shares = 1 / np.sqrt(np.arange(1, genres + 1))
    others = rng.choice(genres, size=artists - genres, p=shares / shares.sum())
    return np.sort(np.concatenate([np.arange(genres), others]))


def _popularity(artist: Ints, exponent: float, rng: np.random.Generator) -> Floats:
    """Rank songs by their artist's fame and their own luck; weigh rank r with r ** -exponent."""
    fame = rng.normal(size=int(artist[-1]) + 1)[artist] + rng.normal(size=len(artist))
    rank = np.empty(len(artist))
    rank[np.argsort(-fame, kind="stable")] = np.arange(1, len(artist) + 1)
    weight: Floats = rank**-exponent
    return weight


def _release_days(
    artist_of_album: Ints,
    genre_of_artist: Ints,
    album: Ints,
    config: WorldConfig,
    rng: np.random.Generator,
) -> Ints:
    """Return each album its day of release, int64 [albums].

    Half of the new songs come from artists who are new themselves, half from the latest
    albums of artists who were known before. Each genre keeps one artist known from the start.
    """
    founders = np.append(True, np.diff(genre_of_artist) > 0)
    newcomer = (rng.random(len(founders)) < config.new_songs_share / 2) & ~founders
    latest = np.append(np.diff(artist_of_album) > 0, True)
    first = np.append(True, np.diff(artist_of_album) > 0)
    can_add = latest & ~first & ~newcomer[artist_of_album]
    songs_on = np.bincount(album)
    wanted = config.new_songs_share / 2 * len(album)
    chance = min(1.0, wanted / max(1, songs_on[can_add].sum()))
    is_new = newcomer[artist_of_album] | (can_add & (rng.random(len(can_add)) < chance))
    new_day = rng.integers(min(1, config.days - 1), config.days, size=len(can_add))
    return np.where(is_new, new_day, -rng.integers(30, OLDEST_RELEASE_DAYS, size=len(can_add)))


def _related_links(
    artist: Ints, genre_of_artist: Ints, weight: Floats, rng: np.random.Generator
) -> Ints:
    """Draw for each artist songs of the few artists it is related to, [artists, LINKS]."""
    first = np.searchsorted(genre_of_artist, genre_of_artist)
    size = np.bincount(genre_of_artist)[genre_of_artist]
    chance = rng.random((len(genre_of_artist), RELATED_ARTISTS))
    related = first[:, None] + (chance * size[:, None]).astype(np.int64)
    which = rng.integers(RELATED_ARTISTS, size=(len(genre_of_artist), LINKS))
    return _draw_in_artist(np.take_along_axis(related, which, axis=1), artist, weight, rng)


def _draw_in_artist(artists: Ints, artist: Ints, weight: Floats, rng: np.random.Generator) -> Ints:
    """Draw a song of each of `artists` by its weight; the shape stays."""
    total = np.concatenate([[0.0], np.cumsum(weight)])
    first = np.searchsorted(artist, artists)
    end = np.searchsorted(artist, artists, side="right")
    reach = total[first] + rng.random(artists.shape) * (total[end] - total[first])
    found = np.searchsorted(total, reach, side="right") - 1
    drawn: Ints = np.clip(found, first, end - 1)
    return drawn
