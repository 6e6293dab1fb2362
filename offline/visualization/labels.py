"""Labels that colour a song map: artists, genres, or any table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from segue.models.bundles.bundle import Titles
from segue.offline.datasets.play_log import PlayLog
from segue.offline.datasets.readers.text import read_lines, read_table
from segue.offline.visualization.projection import SongMapError

TAG_NAMES = "tag_hash.txt"

# Listeners' tags of each genre. A song has the first genre that matches, so rarely misused tags
# come first and tags that most songs have come last.
GENRES: Mapping[str, tuple[str, ...]] = {
    "Christian": ("christian", "christian rock", "worship", "contemporary christian"),
    "Country": ("country", "modern country", "new country", "classic country"),
    "Hip-hop": ("hip-hop", "hip hop", "rap"),
    "Metal": ("heavy metal", "alternative metal", "metal", "nu metal"),
    "R&B and soul": ("rnb", "r&b", "rhythm and blues", "soul", "funk"),
    "Jazz": ("jazz", "smooth jazz"),
    "Punk and emo": ("punk", "punk rock", "emo"),
    "Grunge": ("grunge", "post-grunge"),
    "Indie": ("indie", "indie rock"),
    "Oldies": ("oldies", "60s"),
    "Classic rock": ("classic rock", "progressive rock", "blues rock"),
    "Alternative": ("alternative", "alternative rock", "alt rock"),
    "Dance": ("dance", "electronic"),
    "Soft rock": ("soft rock", "easy listening"),
    "Rock": ("rock", "hard rock", "pop rock"),
    "Pop": ("pop", "top 40"),
}


def artists(titles: Titles, log: PlayLog | None = None) -> dict[str, str]:
    """Return song id -> artist, from a play log and else from a bundle's titles."""
    found = {song_id: artist for song_id, (_, artist) in titles.items() if artist}
    if log is not None:
        rows = log.songs.drop_nulls("artist").select("song_id", "artist")
        found.update(rows.iter_rows())
    return found


def read_labels(path: Path) -> tuple[str, dict[str, str]]:
    """Read the kind of label, and song id -> label.

    From a table with the columns song_id and label, tab- or comma-separated; or genres from the
    tags of yes.com's songs, a file with one song a line and tag_hash.txt next to it. Raises
    SongMapError where a file cannot be used.
    """
    if path.with_name(TAG_NAMES).is_file():
        return "genre", _genres(path, path.with_name(TAG_NAMES))
    separator = "\t" if "\t" in read_lines(path)["text"][0] else ","
    rows = read_table(path, separator, quoted=True)
    columns = rows.columns[2:]
    missing = [name for name in ("song_id", "label") if name not in columns]
    if missing:
        raise SongMapError(
            f"{path}:1: the header has no {' and no '.join(missing)}, only {', '.join(columns)}: "
            "name the columns song_id and label"
        )
    return "label", dict(rows.select("song_id", "label").drop_nulls().iter_rows())


def largest(labels: Sequence[str], limit: int) -> list[str]:
    """Return the labels of most songs, at most `limit`; ties in order of appearance."""
    counts = Counter(label for label in labels if label)
    return [label for label, songs in counts.most_common(limit) if songs > 1]


def _genres(path: Path, names_path: Path) -> dict[str, str]:
    names = dict(
        read_table(names_path, ",", ("number", "name")).select("number", "name").iter_rows()
    )
    numbers = {name.strip(): number.strip() for number, name in names.items()}
    genre_of = {
        numbers[tag]: (order, genre)
        for order, (genre, tags) in enumerate(GENRES.items())
        for tag in tags
        if tag in numbers
    }
    found = {}
    for line, tags in read_lines(path).select("#line", "text").iter_rows():
        genres = [genre_of[tag] for tag in tags.split() if tag in genre_of]
        if genres:  # "#" stands for no tags
            found[str(line - 1)] = min(genres)[1]
    return found
