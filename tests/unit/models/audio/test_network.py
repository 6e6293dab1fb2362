from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from segue.models.audio.layers import pooled
from segue.models.audio.losses import contrastive_loss, squared_error
from segue.models.audio.network import AudioBundleConfig, AudioConfig, AudioNetwork
from segue.models.audio.resnet import LONGEST_MASK, MASKS, spec_augment
from segue.models.bundles.bundle import BundleError, read_bundle, write_bundle
from segue.models.data.vocabulary import Vocabulary
from segue.models.ops.dropout import dropped
from segue.models.ops.vectors import unit
from tests.support.toy_audio import QUICK

SMALL = AudioConfig("document", frames=129, bands=16, dim=5, width=8, dense=16)
RIVAL = replace(SMALL, architecture="residual", depth=2)
BOTH = pytest.mark.parametrize("config", [SMALL, RIVAL], ids=["document", "residual"])


def network(config, seed=0):
    made = AudioNetwork(config)
    made.initialise(torch.Generator().manual_seed(seed))
    with torch.no_grad():  # it begins at nothing, which hides what goes wrong before
        made.outputs.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return made.eval()


def windows(rows, config, seed=0):
    shape = (rows, config.frames, config.bands)
    drawn = torch.randint(256, shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(torch.uint8)


def test_the_documents_network_has_its_layers_and_shapes():
    made = AudioNetwork(AudioConfig())
    assert made(torch.zeros(1, 599, 128, dtype=torch.uint8)).shape == (1, 40)
    filters = [tuple(each.weight.shape) for each in made.encoder.convolutions]
    assert filters == [(256, 128, 4), (256, 256, 4), (256, 256, 4), (512, 256, 4)]
    dense = [made.encoder.first, made.encoder.second, made.outputs]
    assert [tuple(each.weight.shape) for each in dense] == [(2048, 1536), (2048, 2048), (40, 2048)]


@BOTH
def test_a_window_is_heard_alike_whatever_comes_with_it(config):
    made, heard = network(config), windows(5, config)
    together = made(heard)
    assert together.shape == (5, 5)
    assert torch.allclose(made(heard[3:4]), together[3:4], atol=1e-5)
    assert not torch.allclose(together[3], together[2])


@BOTH
def test_a_songs_vector_is_the_mean_over_its_windows(config):
    made, heard = network(config), windows(70, config)
    assert torch.allclose(made.song_vector(heard), made(heard).mean(0), atol=1e-5)
    assert torch.allclose(made.song_features(heard), made.features(heard).mean(0), atol=1e-5)


@BOTH
def test_sixteen_bits_hear_nearly_the_same(config):
    made, heard = network(config), windows(4, config)
    exact = made(heard)
    with torch.autocast("cpu", torch.bfloat16):
        rough = made(heard)
    assert rough.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(exact, rough).min() > 0.99


@BOTH
def test_chance_comes_from_the_generator_alone(config):
    made, heard = network(config), windows(4, config)
    with torch.no_grad():
        one, two = (made(heard, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, made(heard))


@BOTH
def test_a_network_comes_back_out_of_its_bundle(config, tmp_path):
    made = network(config)
    whole = AudioBundleConfig(config, QUICK, "skipgram", "skipgram-0123")
    write_bundle(
        tmp_path / "audio",
        kind="audio",
        config=asdict(whole),
        weights={**made.state_dict(), "popularity": torch.zeros(2)},
        vocabulary=Vocabulary(["a"]),
        titles={},
        training={},
        metrics={},
    )
    bundle = read_bundle(tmp_path / "audio", "audio")
    heard = windows(3, config)
    assert torch.equal(AudioNetwork.from_bundle(bundle)(heard), made(heard))
    other = asdict(whole) | {"network": asdict(replace(config, dim=6))}
    bundle.manifest.config.update(other)
    with pytest.raises(BundleError, match="does not fit its config"):
        AudioNetwork.from_bundle(bundle)


@pytest.mark.parametrize(
    ("field", "value"),
    [("architecture", "lstm"), ("frames", 102), ("dim", 0), ("dropout", 1.0), ("width", 0)],
)
def test_a_network_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        AudioConfig(**{field: value})


def test_the_shortest_window_reaches_the_top():
    shortest = replace(SMALL, frames=103)
    assert network(shortest)(windows(1, shortest)).shape == (1, 5)


def test_time_is_pooled_by_mean_maximum_and_norm():
    frames = torch.tensor([[[3.0, -4.0, 0.0, 1.0]]])
    assert pooled(frames)[0].tolist() == pytest.approx([0.0, 3.0, (26 / 4) ** 0.5])


def test_dropping_keeps_the_mean_and_nothing_is_dropped_without_chance():
    ones = torch.ones(100_000)
    some = dropped(ones, 0.25, torch.Generator().manual_seed(0), bernoulli=True)
    assert float((some == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(some.mean()) == pytest.approx(1, abs=0.01)
    assert dropped(ones, 0.25, None) is ones


def test_spec_augment_hides_stripes_and_no_more_than_it_may():
    heard = torch.ones(50, 100, 40)
    hidden = spec_augment(heard, torch.Generator().manual_seed(0)) == 0
    frames, bands = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, frames.unsqueeze(2) | bands.unsqueeze(1))
    assert 0 < frames.float().mean() < MASKS * LONGEST_MASK
    assert int(frames.sum(1).max()) <= MASKS * (LONGEST_MASK * 100 + 1)
    assert int(bands.sum(1).max()) <= MASKS * (LONGEST_MASK * 40 + 1)
    assert len({tuple(row.tolist()) for row in frames}) > 40


def test_the_squared_error_counts_in_the_targets_spread():
    true = torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    found = squared_error(torch.zeros(2, 2), true, torch.tensor(0.5))
    assert float(found) == pytest.approx((9 / 4) / 0.25)


def test_the_contrastive_loss_is_least_at_the_songs_own_vector():
    songs = unit(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)))
    own = contrastive_loss(songs[:10], songs[:10], songs)
    assert own < contrastive_loss(songs[10:20], songs[:10], songs)
    # Length says nothing: it is directions that are compared.
    assert torch.allclose(contrastive_loss(7 * songs[:10], songs[:10], songs), own)
    free = torch.nn.Parameter(torch.zeros(1, 8) + songs[11:12])
    optimiser = torch.optim.Adam([free], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        contrastive_loss(free, songs[:1], songs).backward()
        optimiser.step()
    assert int((songs @ free.detach()[0]).argmax()) == 0


def test_standardised_input_hears_no_loudness_of_its_own():
    made = network(SMALL)
    heard = windows(2, SMALL).float()
    plain = made(heard)
    made.band_mean += 10
    assert torch.allclose(made(heard + 10), plain, atol=1e-4)
    assert np.isfinite(plain.detach().numpy()).all()
