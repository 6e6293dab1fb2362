import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from models.index import IndexConfig, ItemIndex


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


def test_the_approximate_index_misses_little_and_its_products_are_exact(vectors):
    queries = vectors[1:200]
    index = ItemIndex(vectors, IndexConfig(exact_songs=100))
    scores, items = index.search(queries, 20)
    _, expected = ItemIndex(vectors).search(queries, 20)
    found = (items.unsqueeze(2) == expected.unsqueeze(1)).any(2).float().mean()
    assert found > 0.95
    products = torch.einsum("bd,bkd->bk", queries, vectors[items])
    assert torch.allclose(scores, products, atol=1e-5)


def test_the_same_vectors_give_the_same_index(vectors):
    config = IndexConfig(exact_songs=100)
    first, second = (ItemIndex(vectors, config).search(vectors[1:50], 30) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_what_is_lacking_is_marked(vectors):
    few = ItemIndex(vectors[:4])
    scores, items = few.search(vectors[1:2], 10)
    assert scores.shape == items.shape == (1, 3)
    probing_one = ItemIndex(vectors, IndexConfig(exact_songs=100, probes=1))
    scores, items = probing_one.search(vectors[1:2], 2_000)
    assert (items[0] == 0).any()
    assert torch.equal(items == 0, scores == -torch.inf)
