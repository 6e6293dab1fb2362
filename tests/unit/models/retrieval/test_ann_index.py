import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from segue.models.retrieval.ann_index import IndexConfig, IndexMismatch, ItemIndex


@pytest.fixture(scope="module")
def vectors():
    """3,000 songs around 60 centres, as trained songs lie."""
    chance = torch.Generator().manual_seed(0)
    centres = torch.randn(60, 32, generator=chance)
    near = centres[torch.randint(0, 60, (3_000,), generator=chance)]
    made = F.normalize(near + 0.5 * torch.randn(3_000, 32, generator=chance), dim=1)
    return torch.cat([torch.zeros(1, 32), made])


def test_the_exact_index_finds_the_largest_products(vectors):
    index = ItemIndex(vectors)
    scores, items = index.search(vectors[[5, 9]], 4)
    expected = (vectors[[5, 9]] @ vectors[1:].T).topk(4, dim=1)
    assert torch.equal(items, expected.indices + 1)
    assert torch.allclose(scores, expected.values)
    assert items[:, 0].tolist() == [5, 9]


CODED = IndexConfig(exact_songs=100)
IN_CELLS = IndexConfig(exact_songs=100, scanned_songs=100, probes=30)


def recall(found, expected):
    return (found.unsqueeze(2) == expected.unsqueeze(1)).any(2).float().mean()


@pytest.mark.parametrize("config", [CODED, IN_CELLS], ids=["codes", "cells"])
def test_the_approximate_index_misses_little_and_its_products_are_exact(vectors, config):
    queries = vectors[1:200]
    scores, items = ItemIndex(vectors, config).search(queries, 20)
    _, expected = ItemIndex(vectors).search(queries, 20)
    assert recall(items, expected) > 0.95
    products = torch.einsum("bd,bkd->bk", queries, vectors[items])
    assert torch.allclose(scores, products, atol=1e-5)
    assert (scores.diff(dim=1) <= 0).all()


def test_more_songs_compared_by_their_vectors_and_more_cells_find_more(vectors):
    queries = vectors[1:200]
    _, expected = ItemIndex(vectors).search(queries, 200)

    def found(**settings):
        config = IndexConfig(**{"exact_songs": 100, **settings})
        return recall(ItemIndex(vectors, config).search(queries, 200)[1], expected)

    assert found(rerank=1) < found(rerank=2) <= found(rerank=8)
    few, many = (found(scanned_songs=100, probes=probes) for probes in (1, 30))
    assert few < many


@pytest.mark.parametrize("config", [CODED, IN_CELLS], ids=["codes", "cells"])
def test_the_same_vectors_give_the_same_index_in_whatever_batch(vectors, config):
    first, second = ItemIndex(vectors, config), ItemIndex(vectors, config)
    together = first.search(vectors[1:50], 30)
    for start, stop in ((0, 49), (3, 4), (10, 17), (20, 49)):
        alone = second.search(vectors[1:50][start:stop], 30)
        assert torch.equal(alone[0], together[0][start:stop])
        assert torch.equal(alone[1], together[1][start:stop])


def test_what_is_lacking_is_marked(vectors):
    few = ItemIndex(vectors[:4])
    scores, items = few.search(vectors[1:2], 10)
    assert scores.shape == items.shape == (1, 3)
    probing_one = ItemIndex(vectors, IndexConfig(exact_songs=100, scanned_songs=100, probes=1))
    scores, items = probing_one.search(vectors[1:2], 2_000)
    assert (items[0] == 0).any()
    assert torch.equal(items == 0, scores == -torch.inf)


def test_an_odd_number_of_dimensions_is_coded_too(vectors):
    odd = vectors[:, :31].contiguous()
    _, items = ItemIndex(odd, CODED).search(odd[1:50], 5)
    assert recall(items, ItemIndex(odd).search(odd[1:50], 5)[1]) > 0.95


@pytest.mark.parametrize("config", [CODED, IN_CELLS], ids=["codes", "cells"])
def test_a_file_gives_the_same_index_and_knows_its_vectors(vectors, config, tmp_path):
    index = ItemIndex(vectors, config)
    (tmp_path / "index").write_bytes(index.content())
    assert ItemIndex(vectors, config).content() == index.content()
    mapped = ItemIndex.load(tmp_path / "index", vectors, config)
    assert all(map(torch.equal, mapped.search(vectors[1:50], 30), index.search(vectors[1:50], 30)))
    with pytest.raises(IndexMismatch, match="other vectors"):
        ItemIndex.load(tmp_path / "index", vectors.flip(0), config)
    (tmp_path / "broken").write_bytes(b"no index")
    with pytest.raises(IndexMismatch, match="write it again"):
        ItemIndex.load(tmp_path / "broken", vectors, config)


def test_an_exact_index_needs_no_file(vectors, tmp_path):
    assert ItemIndex(vectors).content() is None
    opened = ItemIndex.load(tmp_path / "index", vectors)
    assert opened.search(vectors[5:6], 1)[1].item() == 5


def test_a_wrong_setting_is_named():
    with pytest.raises(ValueError, match="rerank must be >= 1, got 0"):
        IndexConfig(rerank=0)
