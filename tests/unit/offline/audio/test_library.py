"""Files to spectrograms: every format, the cache, and what cannot be decoded."""

from __future__ import annotations

import shutil
import tracemalloc

import numpy as np
import pytest
import soundfile

from segue.models.audio.mel_spectrogram import MelConfig
from segue.offline.audio.decode import AudioError, decode
from segue.offline.audio.library import Failure, find_files, read_library
from segue.offline.audio.sources import read_spectrograms
from segue.offline.audio.spectrogram_cache import (
    SpectrogramCache,
    SpectrogramConfig,
    make_spectrogram,
)
from tests.support.toy_audio import QUICK, tone, write_tone

SPECTROGRAM = SpectrogramConfig(QUICK, frames=43)


def library(directory, **options):
    return {
        file.song_id: made
        for file, made in read_library(find_files(directory), SPECTROGRAM, **options)
    }


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_every_format_and_rate_sounds_the_same(tmp_path, suffix, rate):
    heard = make_spectrogram(write_tone(tmp_path / f"song.{suffix}", 600, rate=rate), SPECTROGRAM)
    true = make_spectrogram(write_tone(tmp_path / "true.wav", 600), SPECTROGRAM)
    assert abs(len(heard) - len(true)) <= 6  # what an mp3 is padded by
    loud = true[40].argmax()
    assert (heard[10:-10].argmax(1) == loud).all()
    assert abs(int(heard[40, loud]) - int(true[40, loud])) <= 6


def test_channels_are_mixed(tmp_path):
    left, right = tone(300), tone(2_000)
    soundfile.write(tmp_path / "song.wav", np.stack([left, right], 1), 22_050)
    [*blocks] = decode(tmp_path / "song.wav", 22_050, 60)
    assert np.concatenate(blocks)[100:1000] == pytest.approx(
        ((left + right) / 2)[100:1000], abs=1e-3
    )


def test_a_file_of_any_length_takes_the_same_memory(tmp_path):
    def peak(seconds):
        write_tone(tmp_path / "long.wav", 440, seconds=seconds, rate=8_000)
        tracemalloc.start()
        heard = sum(map(len, decode(tmp_path / "long.wav", 8_000, 10_000)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return heard, most

    (short, short_peak), (long, long_peak) = peak(60), peak(600)
    assert (short, long) == (480_000, 4_800_000)
    assert long_peak < 1.2 * short_peak


def test_only_the_beginning_of_a_long_file_is_heard(tmp_path):
    path = write_tone(tmp_path / "long.wav", 440, seconds=30)
    made = make_spectrogram(path, SpectrogramConfig(QUICK, 43, longest_s=5))
    assert QUICK.seconds(len(made)) == pytest.approx(5, abs=0.1)


def test_broken_files_are_told_of_by_name_and_reason_and_the_rest_is_heard(tmp_path):
    write_tone(tmp_path / "good.wav", 440)
    (tmp_path / "text.mp3").write_text("I am no song\n" * 100)
    (tmp_path / "empty.flac").touch()
    write_tone(tmp_path / "short.wav", 440, seconds=0.2)
    soundfile.write(tmp_path / "silent.wav", np.zeros(90_000), 22_050)
    wild = np.full(90_000, np.nan, np.float32)
    soundfile.write(tmp_path / "wild.wav", wild, 22_050, subtype="FLOAT")
    (tmp_path / "notes.txt").write_text("no audio file, so nobody looks at it")
    found = library(tmp_path, workers=2)
    reasons = {name: made.reason for name, made in found.items() if isinstance(made, Failure)}
    assert found.keys() - reasons.keys() == {"good"}
    assert reasons.keys() == {"text", "empty", "short", "silent", "wild"}
    assert "less than a window of 1.0 s" in reasons["short"]
    assert reasons["silent"] == "is silent"
    assert "no sound" in reasons["wild"]
    assert all(str(tmp_path) not in reason for reason in reasons.values())


def test_a_file_that_breaks_off_is_heard_as_far_as_it_goes(tmp_path):
    whole = write_tone(tmp_path / "whole.mp3", 440, seconds=8).read_bytes()
    (tmp_path / "half.mp3").write_bytes(whole[: len(whole) // 2])
    found = library(tmp_path)
    assert len(found["half"]) == pytest.approx(len(found["whole"]) / 2, rel=0.1)


def test_the_cache_knows_a_file_by_its_content(tmp_path, monkeypatch):
    first = write_tone(tmp_path / "a.wav", 440)
    cache = SpectrogramCache(tmp_path / "cache")
    made = np.array(cache.read(first, SPECTROGRAM))
    moved = first.rename(tmp_path / "moved.wav")
    with monkeypatch.context() as nothing_is_decoded:
        nothing_is_decoded.setattr("segue.offline.audio.spectrogram_cache.decode", None)
        assert np.array_equal(cache.read(moved, SPECTROGRAM), made)
    write_tone(moved, 880)
    assert not np.array_equal(cache.read(moved, SPECTROGRAM), made)
    louder = SpectrogramConfig(MelConfig(window=512, hop=512, bands=16, ceiling_db=60), frames=43)
    assert not np.array_equal(cache.read(moved, louder), cache.read(moved, SPECTROGRAM))


def test_a_damaged_cache_is_made_anew(tmp_path):
    song = write_tone(tmp_path / "a.wav", 440)
    cache = SpectrogramCache(tmp_path / "cache")
    made = np.array(cache.read(song, SPECTROGRAM))
    [kept] = (tmp_path / "cache").iterdir()
    for damage in (b"", b"\x93NUMPY", kept.read_bytes()[:-100]):
        kept.write_bytes(damage)
        assert np.array_equal(cache.read(song, SPECTROGRAM), made)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]


def test_files_come_in_order_however_many_are_read_at_once(tmp_path):
    for number in range(9):
        write_tone(tmp_path / "deep" / f"{number}.wav", 200 + 300 * number, seconds=1.2)
    done = []
    found = library(tmp_path, workers=3, on_file=done.append)
    assert list(found) == [str(number) for number in range(9)]
    assert done == list(range(1, 10))
    alone = library(tmp_path, workers=1)
    assert all(np.array_equal(found[name], alone[name]) for name in found)


def test_songs_are_named_by_a_table_where_there_is_one(tmp_path):
    write_tone(tmp_path / "x" / "01.wav", 440)
    write_tone(tmp_path / "y" / "01.wav", 880)
    with pytest.raises(AudioError, match=r"are both song '01'.*songs\.csv"):
        find_files(tmp_path)
    (tmp_path / "songs.csv").write_text("song_id,file\nsecond,y/01.wav\nfirst,x/01.wav\n")
    assert [file.song_id for file in find_files(tmp_path)] == ["first", "second"]
    (tmp_path / "songs.csv").write_text("song_id,file\ngone,z/01.wav\n")
    assert isinstance(library(tmp_path, cache=tmp_path / "cache")["gone"], Failure)


@pytest.mark.parametrize(
    ("table", "said"),
    [("song,file\n", "columns file and song_id"), ("song_id,file\n,a.wav\n", ":2: .*empty")],
)
def test_a_table_that_names_nothing_is_refused(tmp_path, table, said):
    (tmp_path / "songs.csv").write_text(table)
    with pytest.raises(AudioError, match=said):
        find_files(tmp_path)


def test_a_directory_without_audio_is_refused(tmp_path):
    with pytest.raises(AudioError, match="no audio file"):
        find_files(tmp_path)
    with pytest.raises(AudioError, match="is no directory"):
        find_files(tmp_path / "absent")


def archive(path, **changes):
    arrays = {
        "logmel_u8": np.zeros((2, 96, 200), np.uint8),
        "lo": np.float64(-60),
        "hi": np.float64(30),
        "track": np.array(["rock/1.mp3", "pop/2.mp3"]),
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_spectrograms_made_elsewhere_are_read_frame_by_frame(tmp_path):
    levels = np.arange(2 * 96 * 200, dtype=np.uint64).reshape(2, 96, 200).astype(np.uint8)
    sound = read_spectrograms(archive(tmp_path / "mel.npz", logmel_u8=levels))
    assert sound.song_ids == ["rock/1", "pop/2"]
    assert np.array_equal(sound.spectrograms[1], levels[1].T)
    assert sound.spectrogram_config.frames == 129
    assert sound.spectrogram_config.mel.decibels(np.array([0, 255], np.uint8)).tolist() == [-60, 30]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"track": None}, "holds no track"),
        ({"logmel_u8": np.zeros((2, 96, 200))}, "must be uint8"),
        ({"logmel_u8": np.zeros((2, 96, 20), np.uint8)}, "shorter than 3 s"),
        ({"track": np.array(["one"])}, "one a track"),
        ({"track": np.array([{}, {}], dtype=object)}, "is no archive"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused(tmp_path, changes, said):
    with pytest.raises(AudioError, match=said):
        read_spectrograms(archive(tmp_path / "mel.npz", **changes))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "mel.npz").write_text("no archive")
    with pytest.raises(AudioError, match="is no archive"):
        read_spectrograms(tmp_path / "mel.npz")


@pytest.mark.data
def test_real_clips_are_decoded(data_dir, tmp_path):
    for name in ("classical-1", "rock-2"):
        shutil.copy(data_dir / "audio_clips" / f"{name}.mp3", tmp_path)
    found = library(tmp_path, workers=2)
    assert {QUICK.seconds(len(made)) // 10 for made in found.values()} == {6}
