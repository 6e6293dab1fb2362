"""Compiled kernels against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from segue.models.ops.dot_products import ByteVectors, byte_products, multiply, multiply_bytes
from segue.models.ops.fast_math import to_logs, to_powers


@pytest.mark.parametrize(("size", "directions"), [(33, 1), (64, 3), (128, 5), (64, 15)])
def test_products_of_bytes_are_those_of_the_vectors_that_they_stand_for(size, directions):
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(20, size)).astype(np.float32)
    vectors[0] = vectors[7] = 0
    vectors[8] *= 1e-6
    rows = ByteVectors.of(vectors)
    assert rows.codes.ctypes.data % 64 == 0
    stood_for = rows.codes * rows.scales[:, None]
    off = np.abs(stood_for - vectors)
    assert (off <= np.abs(vectors).max(1, keepdims=True) / 127 * 0.501).all()
    assert not stood_for[[0, 7]].any()
    items = rng.integers(0, 20, 9)
    against = rng.normal(size=(directions, size)).astype(np.float32)
    products = np.zeros((9, directions), np.float32)
    multiply_bytes(rows, items, against, products)
    np.testing.assert_allclose(products, stood_for[items] @ against.T, rtol=1e-4, atol=1e-5)
    [alone] = byte_products(rows, items[None], against[:1])
    np.testing.assert_allclose(alone, products[:, 0], rtol=1e-4, atol=1e-5)


def test_products_are_those_of_numpy():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(20, 33)).astype(np.float32)
    directions = rng.normal(size=(4, 3, 33)).astype(np.float32)
    items = rng.integers(0, 20, (4, 9))
    items[1, 2:] = 0
    expected = np.einsum("bcd,bkd->bck", vectors[items], directions) * (items > 0)[:, :, None]
    found = np.zeros((4, 9, 3), np.float32)
    for row in range(len(items)):
        multiply(vectors, items[row], directions[row], found[row])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_powers_and_logarithms_are_right_to_single_precision():
    exponents = np.linspace(-87, 88, 200_001).astype(np.float32)
    powers, logs = exponents.copy(), np.exp(exponents.astype(np.float64)).astype(np.float32)
    expected = np.log(logs.astype(np.float64))
    to_powers(powers)
    np.testing.assert_allclose(powers, np.exp(exponents.astype(np.float64)), rtol=4e-7)
    to_logs(logs)
    np.testing.assert_allclose(logs, expected, rtol=4e-7, atol=1e-7)
