import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.control.projection import gaussian, haar, project
from tests.envs.popgym import chi_square
from tests.support.differentiate import BACKEND, compiled

on_jax = pytest.mark.skipif(BACKEND != "jax", reason="The bits are those of JAX on every backend.")


def numpy_haar(matrix):
    """Householder's orthonormal columns in float64, signs so that the diagonal of R is positive."""
    q, r = np.linalg.qr(matrix)
    return q * np.sign(np.einsum("nii->ni", r))[:, None]


def draw(key, num, *size, strength=None):
    program = compiled(lambda key, strength: haar(key, num, *size, strength))
    return ops.convert_to_numpy(program(key, strength))


@pytest.mark.parametrize("size", [(12, 12), (4, 2), (3, 1)])
def test_columns_are_orthonormal(size):
    matrix = draw(random.key(1), 300, *size)
    assert matrix.shape == (300, *size) and matrix.dtype == "float32"
    products = np.einsum("nij,nik->njk", matrix, matrix)
    identity = np.broadcast_to(np.eye(size[1]), products.shape)
    np.testing.assert_allclose(products, identity, atol=1e-6)


@pytest.mark.slow
def test_they_are_the_columns_of_normal_draws_drawn_towards_the_identity_made_orthonormal():
    key, strength = random.key(2), np.array([0.0, 0.02, 0.3, 0.7, 1.0], "float32")
    normal = ops.convert_to_numpy(random.normal(key, (5, 12, 6)))
    share = strength[:, None, None].astype("float64")
    expected = numpy_haar(share * normal + (1 - share) * 2 * np.sqrt(12 / 6) * np.eye(12, 6))
    matrix = draw(key, 5, 12, 6, strength=ops.convert_to_tensor(strength))
    np.testing.assert_allclose(matrix, expected, atol=2e-6)
    np.testing.assert_allclose(matrix[0], np.eye(12, 6), atol=1e-7)
    np.testing.assert_allclose(matrix[-1], draw(key, 5, 12, 6)[-1], atol=1e-6)


@on_jax
def test_neither_a_turn_nor_a_mirror_changes_the_distribution():
    # Every entry is then distributed as a coordinate of a uniform point on the sphere.
    matrix, generator = draw(random.key(4), 4000, 12, 6), np.random.default_rng(5)
    turn = numpy_haar(generator.normal(size=(1, 12, 12)))[0]
    points = generator.normal(size=(100_000, 12))
    coordinates = (points / np.linalg.norm(points, axis=1, keepdims=True))[:, 0]
    edges = np.quantile(coordinates, np.linspace(0, 1, 17))
    edges[[0, -1]] = -1, 1
    expected = np.histogram(coordinates, edges)[0]
    for matrices in (matrix, turn @ matrix, -matrix):
        for entry in (matrices[:, 0, 0], matrices[:, 5, 5], matrices[:, 11, 2]):
            counts, _ = np.histogram(entry, edges)
            statistic, limit = chi_square.two_samples(counts, expected)
            assert statistic < limit


@on_jax
def test_the_angle_of_a_2_by_2_matrix_is_uniform_and_half_are_mirrors():
    matrix = draw(random.key(6), 4000, 2, 2)
    angle = np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])
    counts, _ = np.histogram(angle, 16, (-np.pi, np.pi))
    assert chi_square.statistic(counts, 250) < chi_square.limit(15)
    num_mirrors = np.sum(np.linalg.det(matrix) < 0)
    assert chi_square.statistic([num_mirrors, 4000 - num_mirrors], 2000) < chi_square.limit(1)


@on_jax
def test_gaussian_matrices_keep_the_squared_length_in_expectation():
    key = random.key(7)
    matrix = ops.convert_to_numpy(gaussian(key, 2000, 12, 5))
    np.testing.assert_allclose(
        matrix, ops.convert_to_numpy(random.normal(key, (2000, 12, 5))) / np.sqrt(12), rtol=1e-6
    )
    vector = np.array([3.0, -1.0, 0.5, 2.0, 0.1])
    lengths = np.sum((matrix @ vector) ** 2, axis=1) / np.sum(vector**2)
    # Chi-squared with 12 degrees of freedom, over 12: the deviation of one is sqrt(1 / 6).
    assert abs(lengths.mean() - 1) < 4 * np.sqrt(1 / 6 / 2000)


def test_each_matrix_multiplies_its_own_vector():
    generator = np.random.default_rng(8)
    matrix = generator.normal(size=(3, 4, 2)).astype("float32")
    vector = generator.normal(size=(3, 2)).astype("float32")
    result = project(ops.convert_to_tensor(matrix), ops.convert_to_tensor(vector))
    expected = np.einsum("nij,nj->ni", matrix, vector)
    np.testing.assert_allclose(ops.convert_to_numpy(result), expected, rtol=1e-5, atol=1e-6)
