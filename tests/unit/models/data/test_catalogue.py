"""What is known of songs: from topic, file and bundle into columns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.models.bundles.bundle import read_bundle
from segue.models.data.catalogue import (
    UNKNOWN_FLAG,
    UNKNOWN_MS,
    Catalogue,
    RowsOfSongs,
    SongDetails,
)
from segue.models.data.vocabulary import Vocabulary
from segue.offline.datasets.play_log import SONGS_SCHEMA, PlayLog
from segue.offline.simulation import generate_world
from segue.offline.simulation.config import WorldConfig
from segue.stream.config.settings import load_settings
from segue.stream.messages.records import Record
from segue.stream.messages.songs import SongError, SongEvent, decode_song, encode_song, read_songs
from segue.stream.observability.metrics import Metrics
from segue.stream.serving.catalogue import CatalogueFollower
from tests.support.schemas import errors, schema
from tests.support.toy import song, write_toy_bundle

BLUE = SongDetails("Blue in Green", "Miles Davis", "Kind of Blue", ("jazz",), -327_456_000_000)


def test_a_song_that_was_put_is_not_changed_by_an_offer():
    catalogue = Catalogue({"a": SongDetails(artist="Can"), "b": SongDetails(artist="CAN ")})
    assert catalogue.columns.artists[catalogue.find(["a", "b"])].tolist() == [1, 1]
    catalogue.put("a", SongDetails(artist="Neu!", released_at_ms=5, explicit=True))
    catalogue.offer({"a": SongDetails(artist="Faust"), "b": SongDetails(artist="Faust")})
    [a, b, none] = catalogue.find(["a", "b", "c"]).tolist()
    columns = catalogue.columns
    assert columns.artists[[a, b, none]].tolist() == [
        catalogue.artist("neu!"),
        catalogue.artist("Faust"),
        0,
    ]
    assert columns.released_ms[[a, b]].tolist() == [5, UNKNOWN_MS]
    assert columns.explicit[[a, b]].tolist() == [1, UNKNOWN_FLAG]
    catalogue.put("a", None)
    assert catalogue.columns.artists[a] == 0


def test_columns_grow_and_rows_follow():
    vocabulary, catalogue = Vocabulary(f"s{n}" for n in range(3_000)), Catalogue()
    rows = RowsOfSongs(vocabulary, catalogue)
    for number in range(0, 3_000, 2):
        catalogue.put(f"s{number}", SongDetails(artist=f"artist {number}"))
    catalogue.put("elsewhere", SongDetails())
    found = rows.rows()
    assert found[1::2].tolist() == catalogue.find(f"s{n}" for n in range(0, 3_000, 2)).tolist()
    assert not found[2::2].any()
    assert len(np.unique(catalogue.columns.artists[found[1::2]])) == 1_500


@pytest.mark.parametrize(
    ("released_at", "wanted"),
    [
        ("1959-08-17", -327_456_000_000),
        ("1959-08-17T02:00:00+02:00", -327_456_000_000),
        ("1970-01-01T00:00:00.5Z", 500),
        (7, 7),
    ],
)
def test_release_times_are_read_as_they_come(released_at, wanted):
    value = {"song_id": "a", "released_at": released_at}
    assert decode_song(json.dumps(value).encode())[1].released_at_ms == wanted


BAD_SONGS = [
    b"",
    b"[]",
    b"\xff",
    b'{"song_id": ""}',
    b'{"title": "nameless"}',
    b'{"song_id": "a\\u0000"}',
    b'{"song_id": "a", "title": null}',
    b'{"song_id": "a", "genres": "jazz"}',
    b'{"song_id": "a", "genres": ["jazz", "jazz"]}',
    b'{"song_id": "a", "genres": [""]}',
    b'{"song_id": "a", "released_at": "1959"}',
    b'{"song_id": "a", "released_at": "1959-13-17"}',
    b'{"song_id": "a", "released_at": "1959-08-17T00:00:00"}',
    b'{"song_id": "a", "released_at": 1e3}',
    b'{"song_id": "a", "released_at": null}',
    b'{"song_id": "a", "explicit": 1}',
]


@pytest.mark.parametrize("raw", BAD_SONGS)
def test_what_is_no_song_is_taken_neither_by_code_nor_by_schema(raw):
    with pytest.raises(SongError, match="no song"):
        decode_song(raw)
    try:
        value = json.loads(raw)
    except ValueError:
        return
    # That 1e3 is no whole number, and that the 31st of April is no day, JSON Schema cannot say.
    assert errors("song", value) or b"1e3" in raw


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=8)


@given(
    texts.filter(bool),
    st.builds(
        SongDetails,
        *(texts, texts, texts, st.lists(texts.filter(bool), unique=True).map(tuple)),
        st.none() | st.integers(-62_135_596_800_000, 253_402_300_799_999),
        st.none() | st.booleans(),
    ),
)
def test_songs_are_read_as_they_were_written_and_are_valid(song_id, details):
    raw = encode_song(song_id, details)
    assert decode_song(raw) == (song_id, details)
    assert errors("song", json.loads(raw)) == []


def test_the_schema_names_the_fields_of_the_code():
    assert list(schema("song")["properties"]) == list(SongEvent.__struct_fields__)
    for example in schema("song")["examples"]:
        decode_song(json.dumps(example).encode())


def record(offset, key, value):
    return Record("songs", 0, offset, 0, key, value)


def test_a_follower_takes_songs_and_counts_what_are_none(caplog):
    metrics, catalogue = Metrics(), Catalogue()
    follower = CatalogueFollower(load_settings(), catalogue, metrics)
    follower.take(
        [
            record(0, b"a", encode_song("a", BLUE)),
            record(1, b"b", encode_song("b", SongDetails(artist="Miles Davis"))),
            record(2, b"b", b"no json"),
            record(3, b"b", encode_song("a", SongDetails())),  # another's key
            record(4, b"\xff", None),
            record(5, b"a", None),
        ]
    )
    [a, b] = catalogue.find(["a", "b"]).tolist()
    assert catalogue.columns.artists[[a, b]].tolist() == [0, catalogue.artist("miles davis")]
    value = metrics.registry.get_sample_value
    assert (value("segue_songs_refused_total"), value("segue_catalogue_songs")) == (3, 2)


def test_a_file_of_songs_names_its_bad_line(tmp_path):
    path = tmp_path / "songs.jsonl"
    path.write_bytes(encode_song("a", BLUE) + b"\n\n" + encode_song("a", SongDetails()) + b"\n")
    assert read_songs(path) == {"a": SongDetails()}
    path.write_bytes(encode_song("a", BLUE) + b"\n{}\n")
    with pytest.raises(SongError, match=r"songs\.jsonl:2: no song.*mend or drop the line"):
        read_songs(path)
    with pytest.raises(SongError, match="cannot be read"):
        read_songs(tmp_path / "none")


def test_a_bundle_keeps_what_is_known_and_older_ones_are_read(tmp_path):
    details = {song(1): BLUE, song(2): SongDetails(explicit=True), "elsewhere": BLUE}
    titles = {song(0): ("So What", ""), song(1): ("", "")}
    write_toy_bundle(tmp_path / "bundle", titles=titles, details=details)
    kept = json.loads((tmp_path / "bundle" / "songs.json").read_text())
    assert kept[song(0)] == ["So What", ""]  # as bundles had it before there were details
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.details == {
        song(0): SongDetails("So What"),
        song(1): BLUE,
        song(2): details[song(2)],
    }
    assert bundle.titles == {
        song(0): ("So What", ""),
        song(1): ("Blue in Green", "Miles Davis"),
    }


def test_a_log_tells_what_its_songs_columns_have():
    row = {"song_id": ["a"], "title": [None], "artist": ["Can"], "album": [None]}
    log = PlayLog(pl.DataFrame(), pl.DataFrame(row, schema=SONGS_SCHEMA))
    assert log.details() == {"a": SongDetails(artist="Can")}
    reported = {"genres": [["krautrock"]], "released_at_ms": [5], "explicit": [False]}
    log = replace(log, songs=log.songs.with_columns(pl.DataFrame(reported)))
    assert log.details()["a"] == SongDetails("", "Can", "", ("krautrock",), 5, False)


def test_a_generated_world_knows_genres_and_releases():
    world = generate_world(WorldConfig(songs=600, listeners=5, days=3), 1)
    details = world.log.details()
    known = world.catalogue.row(0, named=True)
    assert details[known["song_id"]].genres == (known["genre"],)
    assert details[known["song_id"]].released_at_ms == known["released_at_ms"]
