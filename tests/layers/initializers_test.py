import keras
import numpy as np
import pytest

from keras_s5rl.layers import initializers
from keras_s5rl.layers.hippo import hippo_eigenbasis

pytestmark = pytest.mark.portable

NORMAL_OF_SEED_0 = [0.2180717, 0.4298949, -0.1386485]
SEEDS_OF_0 = [1484405855, 1838574579, 372825380]
CASES = [
    (initializers.Normal(seed=3), (4, 3)),
    (initializers.Orthogonal(gain=2.0, seed=3), (4, 3)),
    (initializers.LogUniform(1e-2, 1.0, seed=3), (4,)),
    (initializers.HippoEigenvalues("imaginary", num_blocks=2), (4,)),
    (initializers.HippoInputMatrix(num_blocks=2, seed=3), (2, 4, 3)),
    (initializers.HippoOutputMatrix("complex_normal", seed=3), (2, 3, 4)),
    (initializers.HippoOutputMatrix(num_directions=2, seed=3), (2, 3, 8)),
]


def draw(initializer, shape):
    return keras.ops.convert_to_numpy(initializer(shape, dtype="float32"))


@pytest.mark.slow
@pytest.mark.parametrize("initializer, shape", CASES)
def test_a_config_and_a_seed_give_the_same_weights_again(initializer, shape):
    config = keras.saving.serialize_keras_object(initializer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(initializer)
    np.testing.assert_array_equal(draw(again, shape), draw(initializer, shape))
    np.testing.assert_array_equal(draw(initializer, shape), draw(initializer, shape))


def test_one_seed_gives_these_numbers_on_every_backend():
    np.testing.assert_allclose(draw(initializers.Normal(seed=0), (3,)), NORMAL_OF_SEED_0, rtol=1e-6)
    assert initializers.derive_seeds(0, 3) == SEEDS_OF_0


def test_derived_seeds_differ_from_each_other_and_between_neighbouring_seeds():
    seeds = [seed for start in range(100) for seed in initializers.derive_seeds(start, 10)]
    assert len(set(seeds)) == 1000
    assert initializers.derive_seeds(5, 3) == initializers.derive_seeds(5, 10)[:3]


@pytest.mark.slow
def test_without_a_seed_keras_global_seed_decides():
    def pair():
        return [draw(initializers.Normal(), (5,)) for _ in range(2)]

    keras.utils.set_random_seed(7)
    first, second = pair()
    keras.utils.set_random_seed(7)
    again = pair()
    np.testing.assert_array_equal([first, second], again)
    assert (first != second).all()


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4)])
def test_orthogonal_has_orthogonal_rows_or_columns(shape):
    matrix = draw(initializers.Orthogonal(gain=3.0, seed=0), shape).astype("float64")
    product = matrix @ matrix.T if shape[0] < shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 9.0 * np.eye(min(shape)), atol=1e-5)


def test_log_steps_are_uniform_between_the_logarithms_of_the_bounds():
    values = draw(initializers.LogUniform(1e-3, 1e-1, seed=0), (4000,))
    assert np.log(1e-3) <= values.min() and values.max() <= np.log(1e-1)
    counts, _ = np.histogram(values, bins=4, range=(np.log(1e-3), np.log(1e-1)))
    np.testing.assert_allclose(counts, 1000, atol=120)


def test_the_input_matrix_is_a_real_matrix_in_the_eigenbasis():
    _, vectors = hippo_eigenbasis(32, conjugate_symmetry=False)
    matrix = draw(
        initializers.HippoInputMatrix(conjugate_symmetry=False, seed=0), (2, 32, 500)
    ).astype("float64")
    real = vectors @ (matrix[0] + 1j * matrix[1])
    np.testing.assert_allclose(real.imag, 0.0, atol=1e-6)
    np.testing.assert_allclose(real.real.std(), 1 / np.sqrt(500), rtol=0.03)


@pytest.mark.parametrize(
    "distribution, variance",
    [("lecun_normal", 1 / 32), ("truncate_standard_normal", 2 / 32), ("complex_normal", 1.0)],
)
@pytest.mark.parametrize("conjugate_symmetry", (False, True))
def test_the_output_matrix_has_the_variance_of_its_rule(distribution, variance, conjugate_symmetry):
    states = 16 if conjugate_symmetry else 32
    initializer = initializers.HippoOutputMatrix(
        distribution, conjugate_symmetry=conjugate_symmetry, seed=0
    )
    matrix = draw(initializer, (2, 400, states)).astype("float64")
    np.testing.assert_allclose(np.mean(np.sum(matrix**2, axis=0)), variance, rtol=0.05)
    np.testing.assert_allclose(matrix[0].std(), matrix[1].std(), rtol=0.05)


def test_truncated_draws_stay_within_two_standard_deviations():
    initializer = initializers.HippoOutputMatrix(
        "truncate_standard_normal", conjugate_symmetry=False, seed=0
    )
    _, vectors = hippo_eigenbasis(4, conjugate_symmetry=False)
    matrix = draw(initializer, (2, 2000, 4)).astype("float64")
    raw = (matrix[0] + 1j * matrix[1]) @ vectors.conj().T * np.sqrt(4) * 0.8796256610342398
    largest = max(np.abs(raw.real).max(), np.abs(raw.imag).max())
    assert 1.9 < largest < 2.0 + 1e-5


def test_the_two_directions_of_an_output_matrix_differ():
    forward, backward = np.split(
        draw(initializers.HippoOutputMatrix(num_directions=2, seed=0), (2, 3, 8)), 2, axis=-1
    )
    assert (forward != backward).all()


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="`part` should be 'real' or 'imaginary'.*Received"):
        initializers.HippoEigenvalues("imag")
