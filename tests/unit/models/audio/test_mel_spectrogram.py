from __future__ import annotations

import numpy as np
import pytest

from segue.models.audio.mel_spectrogram import MelConfig, MelStream, mel_filters
from segue.offline.audio.spectrogram_cache import SpectrogramConfig, make_spectrogram
from segue.offline.experiments.cold_start_audio.emotify import MEL, read_emotify
from tests.support.toy_audio import QUICK, tone


def spectrogram(samples, config=QUICK, block=10_000):
    stream = MelStream(config)
    parts = [stream.push(samples[at : at + block]) for at in range(0, len(samples), block)]
    return np.concatenate([*parts, stream.finish()])


@pytest.mark.parametrize("block", [1, 37, 511, 512, 22_050, 10**6])
def test_frames_do_not_depend_on_how_the_sound_was_cut(block):
    sound = tone(440, 0.1) if block == 1 else tone(440, 2.0)
    whole = spectrogram(sound, block=len(sound))
    assert len(whole) == 1 + len(sound) // QUICK.hop
    assert np.array_equal(spectrogram(sound, block=block), whole)


@pytest.mark.parametrize("hz", [150.0, 440.0, 1_000.0, 2_500.0, 7_000.0])
def test_a_tone_is_loudest_in_the_band_of_its_pitch(hz):
    config = MelConfig()
    heard = spectrogram(tone(hz), config)[50:-50]
    nearest_bin = round(hz / config.sample_rate * config.window)
    assert (
        abs(int(np.median(heard.argmax(1))) - int(mel_filters(config)[nearest_bin].argmax())) <= 1
    )


def test_ten_decibels_more_sound_ten_decibels_louder():
    quiet, loud = (
        QUICK.decibels(spectrogram(scale * tone(440)))[5:-5].max(1).mean()
        for scale in (0.1, 0.1 * 10**0.5)
    )
    assert loud - quiet == pytest.approx(10, abs=0.2)


def test_the_documents_input_is_599_frames_of_128_bands_from_three_seconds():
    config = MelConfig()
    assert config.seconds(599) == pytest.approx(3, abs=0.02)
    assert spectrogram(tone(440, 3.0), config)[:599].shape == (599, 128)


def test_every_band_hears_something_and_none_more_than_its_triangle():
    filters = mel_filters(MEL)
    assert (filters.max(0) > 0).all()
    middle = filters[:, 1:-1].sum(0) * MEL.sample_rate / MEL.window
    assert np.allclose(middle[20:], 1, atol=0.05)  # their areas; narrow ones fall between bins


@pytest.mark.parametrize(
    ("field", "value"), [("hop", 0), ("window", 513), ("bands", -1), ("floor_db", 60.0)]
)
def test_what_makes_no_spectrogram_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        MelConfig(**{field: value})


@pytest.mark.data
def test_real_clips_give_the_spectrograms_that_others_published_of_them(data_dir):
    sound = read_emotify(data_dir / "audio_emotify").sound
    for name in ("classical-2", "rock-1", "pop-3"):
        clip = data_dir / "audio_clips" / f"{name}.mp3"
        made = make_spectrogram(clip, SpectrogramConfig(sound.spectrogram_config.mel))
        published = sound.spectrograms[sound.song_ids.index(name.replace("-", "/"))]
        # Theirs are the second quarter and the third, of a decoder that begins a little earlier.
        start = int(15 * 22_050 / 512) + 1
        heard = made[start : start + len(published)]
        decibels = sound.spectrogram_config.mel.decibels
        assert np.abs(decibels(heard) - decibels(published)).mean() < 3.0
        assert np.corrcoef(heard.ravel(), published.ravel())[0, 1] > 0.95
