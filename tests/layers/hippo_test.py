import numpy as np
import pytest

from keras_s5rl.layers.hippo import hippo_eigenbasis


def normal_matrix(size):
    """The skew-symmetric part entry by entry: -1/2 sqrt(2n+1) sqrt(2k+1) below the diagonal."""
    matrix = np.zeros((size, size))
    for n in range(size):
        matrix[n, n] = -0.5
        for k in range(n):
            matrix[n, k] = -0.5 * np.sqrt((2 * n + 1) * (2 * k + 1))
            matrix[k, n] = -matrix[n, k]
    return matrix


@pytest.mark.parametrize("size", (1, 2, 5, 16, 64))
def test_eigenvalues_and_vectors_rebuild_the_normal_part_of_hippo(size):
    values, vectors = hippo_eigenbasis(size, conjugate_symmetry=False)
    rebuilt = (vectors * values) @ np.linalg.inv(vectors)
    np.testing.assert_allclose(rebuilt, normal_matrix(size), atol=1e-10 * size**2)
    expected = np.linalg.eigvals(normal_matrix(size))
    np.testing.assert_allclose(
        np.sort(values.imag), np.sort(expected.imag), rtol=1e-9, atol=1e-10 * size
    )
    np.testing.assert_allclose(values.real, -0.5, rtol=1e-12)


def test_under_conjugate_symmetry_the_half_below_the_real_axis_is_kept():
    values, vectors = hippo_eigenbasis(8)
    assert values.shape == (4,) and vectors.shape == (8, 4)
    assert (values.imag < 0).all()
    whole = (vectors * values) @ vectors.conj().T
    np.testing.assert_allclose(2 * whole.real, normal_matrix(8), atol=1e-12)


def test_blocks_are_copies_of_one_smaller_matrix_on_the_diagonal():
    values, vectors = hippo_eigenbasis(12, num_blocks=3)
    one_values, one_vectors = hippo_eigenbasis(4)
    np.testing.assert_array_equal(values.reshape(3, 2), np.stack([one_values] * 3))
    for row in range(3):
        for column in range(3):
            block = vectors[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(block, one_vectors if row == column else 0)
