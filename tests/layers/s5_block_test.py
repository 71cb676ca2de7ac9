import h5py
import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5Block

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 5, 4)).astype("float32")


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))).astype(
        "float64"
    )


def normalise(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + beta


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.slow
@pytest.mark.parametrize("norm", (None, "pre", "post"))
@pytest.mark.parametrize("activation", ("full_glu", "half_glu1", "half_glu2", "gelu"))
def test_the_block_follows_its_equations(activation, norm):
    block = S5Block(activation, norm, state_size=8)
    block.build(INPUTS.shape)
    if norm:
        gamma, beta = RNG.normal(size=(2, 4))
        block.layer_norm.set_weights([gamma, beta])
    hidden = normalise(INPUTS, gamma, beta) if norm == "pre" else INPUTS
    y = to_numpy(block.s5(hidden.astype("float32")))
    g = gelu(y)
    if activation == "gelu":
        gated = g
    else:
        block.gate.bias.assign(RNG.normal(size=block.gate.bias.shape))
        product = g @ to_numpy(block.gate.kernel) + to_numpy(block.gate.bias)
        if activation == "full_glu":
            assert product.shape[-1] == 8
            gated = product[..., :4] * sigmoid(product[..., 4:])
        else:
            gated = (g if activation == "half_glu1" else y) * sigmoid(product)
    expected = INPUTS + gated
    expected = normalise(expected, gamma, beta) if norm == "post" else expected
    np.testing.assert_allclose(to_numpy(block(INPUTS)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_dropout_acts_in_training_alone():
    block = S5Block(dropout=0.5, state_size=8)
    without = to_numpy(block(INPUTS))
    np.testing.assert_array_equal(to_numpy(block(INPUTS, training=False)), without)
    assert np.abs(to_numpy(block(INPUTS, training=True)) - without).max() > 1e-3


def test_arguments_of_s5_reach_it_and_come_back_in_the_config():
    arguments = {
        "state_size": 12,
        "num_blocks": 3,
        "discretization": "bilinear",
        "c_init": "complex_normal",
        "dt_min": 0.01,
        "dt_max": 0.2,
        "conjugate_symmetry": False,
        "clip_eigenvalues": True,
        "bidirectional": True,
        "step_rescale": 2.0,
        "implementation": "sequential",
        "b_regularizer": keras.regularizers.L2(0.1),
        "c_regularizer": keras.regularizers.L1(0.1),
        "d_regularizer": keras.regularizers.L2(0.2),
        "b_constraint": keras.constraints.MaxNorm(1.0, axis=0),
        "c_constraint": keras.constraints.NonNeg(),
        "d_constraint": keras.constraints.UnitNorm(),
    }
    block = S5Block(seed=1, **arguments)
    for name, value in arguments.items():
        assert getattr(block.s5, name) == value
    again = S5Block.from_config(block.get_config())
    assert again.get_config() == block.get_config()
    assert again.s5.get_config() == block.s5.get_config()


def test_files_of_weights_keep_the_names_they_have_always_had(tmp_path):
    model = keras.Sequential([keras.Input(INPUTS.shape[1:]), S5Block(norm="pre", state_size=8)])
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert len(file["layers/s5_block/s5/vars"]) == 6
        assert {"gate", "layer_norm"} <= file["layers/s5_block"].keys()


def test_one_seed_gives_one_set_of_weights():
    def weights(seed):
        block = S5Block(norm="pre", state_size=8, seed=seed)
        block.build(INPUTS.shape)
        return [to_numpy(weight) for weight in block.weights]

    for first, again in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(first, again)
    assert any((first != other).any() for first, other in zip(weights(1), weights(2), strict=True))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"activation": "relu"}, "`activation`"),
        ({"norm": "batch"}, "`norm`"),
        ({"dropout": 1.0}, "`dropout`"),
        ({"state_size": 3}, "`state_size`"),
        ({"stateful": True, "bidirectional": True}, "`stateful=True`"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received"):
        S5Block(**wrong)
