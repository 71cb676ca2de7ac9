"""Encoders of observations: what takes a flat vector apart, and their registry."""

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Tuple
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs import AgentView
from keras_s5rl.layers.derived_weights import DerivedWeights
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.models import (
    ActorCritic,
    Categorical,
    EntriesEncoder,
    load_policy,
    make_encoder,
    make_memory,
    register_encoder,
    registered_encoders,
)
from keras_s5rl.models.encoders import encoder_setting
from keras_s5rl.models.image_encoder import ImageEncoder, image_layout
from keras_s5rl.models.keras_configs import same_config
from keras_s5rl.ppo.policy import default_encoder
from tests.support.any_spaces import AnySpaces

IMAGE = Box(0, 255, (7, 8, 3), "uint8")
ENTRIES = [{"shape": [7, 8, 3], "scale": 1 / 255}, {"shape": [3], "scale": 1.0}]
SIZE = 7 * 8 * 3 + 3


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def inputs(*leading):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (*leading, SIZE - 3))
    return np.concatenate([pixels, draw.normal(size=(*leading, 3))], -1).astype("float32")


def leaky_relu(values):
    return np.where(values > 0, values, 0.2 * values)


def convolved(images, kernel, bias, padding):
    """A convolution with stride 1, pixel by pixel."""
    images = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = images.shape[1] - 2, images.shape[2] - 2
    outputs = np.zeros((len(images), height, width, kernel.shape[-1]))
    for row in range(height):
        for column in range(width):
            patch = images[:, row : row + 3, column : column + 3]
            outputs[:, row, column] = np.tensordot(patch, kernel, 3) + bias
    return leaky_relu(outputs)


@pytest.mark.portable
def test_entries_are_encoded_apart_and_stand_side_by_side():
    encoder = EntriesEncoder(ENTRIES, width=4, seed=1)
    rows = inputs(2)
    outputs = numpy(encoder(rows))
    image, vector = encoder.parts
    weights = [numpy(weight.value) for weight in image.weights]
    images = rows[:, :-3].reshape(2, 7, 8, 3) / 255.0
    images = convolved(images, *weights[:2], padding=1)
    images = convolved(images, *weights[2:4], padding=0)
    features = leaky_relu(images.reshape(2, -1) @ weights[4] + weights[5])
    others = leaky_relu(rows[:, -3:] @ numpy(vector.kernel) + numpy(vector.bias))
    np.testing.assert_allclose(outputs, np.concatenate([features, others], 1), rtol=1e-4, atol=1e-5)
    sequences = numpy(encoder(rows[:, None]))
    np.testing.assert_allclose(sequences[:, 0], outputs, rtol=1e-5, atol=1e-6)
    assert encoder.compute_output_shape((None, 5, SIZE)) == (None, 5, 8)


@pytest.mark.parametrize(
    ("shape", "layout", "num_convolutions"),
    [
        ((7, 7, 3), (7, 7, 3), 2),
        ((84, 84, 4), (84, 84, 4), 5),
        ((4, 84, 84), (84, 84, 4), 5),
        ((9, 30), (9, 30, 1), 3),
        ((8, 8), (8, 8, 1), 2),
        ((6, 6), None, None),
        ((7,), None, None),
        ((3, 3, 3), None, None),
        ((2, 9, 9, 3), None, None),
    ],
)
def test_sizes_adapt_to_the_image(shape, layout, num_convolutions):
    assert image_layout(shape) == layout
    if layout is None:
        with pytest.raises(ValueError, match="`shape` should be that of an image.*Received: shape"):
            ImageEncoder(shape, 8)
    else:
        encoder = ImageEncoder(shape, 8)
        encoder.build((None, int(np.prod(shape))))
        assert len(encoder.convolutions) == num_convolutions
        assert encoder.dense.kernel.shape[0] <= 1600


def test_channels_first_are_the_same_images():
    last, first = ImageEncoder((7, 8, 3), 4, seed=1), ImageEncoder((3, 7, 8), 4, seed=1)
    images = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype("float32")
    channels_first = np.moveaxis(images, 3, 1).reshape(2, -1)
    np.testing.assert_allclose(
        numpy(first(channels_first)), numpy(last(images.reshape(2, -1))), rtol=1e-5, atol=1e-6
    )


def policy_with(encoder, **arguments):
    memory = make_memory("gru", width=4, num_layers=1, seed=1)
    return ActorCritic(
        SIZE, Categorical(3), memory, (6,), (6,), seed=2, encoder=encoder, **arguments
    )


@pytest.mark.slow
@pytest.mark.portable
def test_a_policy_with_an_encoder_steps_as_it_runs_and_is_saved(tmp_path):
    observations, resets = inputs(2, 3), np.array([[1, 0, 1], [0, 0, 1]], bool)
    policy = policy_with(EntriesEncoder(ENTRIES, width=4, seed=1))
    parameters, value, _ = policy(observations, resets=resets)
    state, derived = policy.get_initial_state(2), DerivedWeights(policy)
    for t in range(3):
        stepped = policy.step(observations[:, t], resets[:, t], state, derived)
        for ours, whole in zip(stepped, (parameters, value), strict=False):
            np.testing.assert_allclose(numpy(ours), numpy(whole)[:, t], rtol=1e-4, atol=1e-5)
        state = stepped[2]
    policy.save(tmp_path / "policy.keras")
    loaded = load_policy(tmp_path / "policy.keras")
    np.testing.assert_array_equal(numpy(loaded(observations, resets=resets)[0]), numpy(parameters))


def test_without_an_encoder_a_policy_has_the_weights_that_it_had():
    policy = policy_with(None)
    seeds = derive_seeds(derive_seeds(2, 3)[0], 2)
    expected = Orthogonal(2.0**0.5, seed=seeds[0])((SIZE, 6))
    np.testing.assert_array_equal(numpy(policy.encoder[0].kernel), numpy(expected))
    assert policy.observation_encoder is None and policy.encoder[0].kernel.shape == (SIZE, 6)
    assert derive_seeds(5, 3)[:2] == derive_seeds(5, 2)


def test_a_kernel_of_several_axes_has_orthogonal_columns():
    kernel = numpy(ImageEncoder((7, 7, 1), 4, seed=0)(np.ones((1, 49), "float32")))
    assert kernel.shape == (1, 4)
    encoder = ImageEncoder((7, 7, 3), 4, seed=0)
    encoder.build((None, 147))
    matrix = numpy(encoder.convolutions[0].kernel).reshape(27, 16)
    np.testing.assert_allclose(matrix.T @ matrix, 2 * np.eye(16), atol=1e-5)


def test_any_layer_of_rows_is_an_encoder():
    rows = keras.Input((SIZE,))
    columns = keras.layers.Reshape((SIZE, 1))(rows)
    encoder = keras.Model(rows, keras.layers.GlobalAveragePooling1D()(columns))
    policy = policy_with(encoder)
    parameters, *_ = policy(inputs(2, 3))
    expected, *_ = policy_with(None)(inputs(2, 3))
    assert parameters.shape == expected.shape and policy.encoder[0].kernel.shape == (1, 6)


@pytest.mark.parametrize(
    "encoder",
    [
        keras.layers.Reshape((SIZE, 1)),
        keras.layers.Conv2D(2, 3),
        keras.layers.Reshape((SIZE + 1,)),
    ],
)
def test_a_layer_that_takes_no_rows_or_returns_none_is_refused(encoder):
    with pytest.raises(ValueError, match="`encoder` should be a Keras layer from .*Received: enc"):
        policy_with(encoder)


def build_pair(*, entries, width, activation, dtype, seed):
    return keras.layers.Dense(2 * len(entries), dtype=dtype)


def test_encoders_are_known_by_their_names():
    assert {"dense", "entries"} <= set(registered_encoders())
    assert make_encoder("dense", ENTRIES, width=4) is None
    register_encoder("pair", build_pair)
    register_encoder("pair", build_pair)
    assert make_encoder("pair", ENTRIES, width=4).units == 4
    with pytest.raises(ValueError, match="`name` should not be that of another encoder"):
        register_encoder("pair", lambda **arguments: None)
    with pytest.raises(ValueError, match="`encoder` should be one of .*did you mean 'entries'"):
        make_encoder("entrie", ENTRIES, width=4)
    with pytest.raises(ValueError, match="`encoder` should be one of .* Keras layer.*encoder=3"):
        make_encoder(3, ENTRIES, width=4)
    unknown = {"class_name": "Missing", "module": "nowhere", "config": {}, "registered_name": None}
    with pytest.raises(ValueError, match="Keras layer that can be made again from"):
        make_encoder(unknown, ENTRIES, width=4)


@pytest.mark.slow
def test_serialised_layers_are_the_same_whatever_keras_called_them():
    def layers(units):
        source = keras.Input((SIZE,))
        return keras.Model(source, keras.layers.Dense(units)(keras.layers.Dense(units)(source)))

    first, second, other = map(encoder_setting, map(layers, (3, 3, 4)))
    assert first != second and same_config(first, second)
    assert not same_config(first, other) and not same_config(first, "dense")
    assert same_config("dense", "dense") and not same_config("dense", "entries")


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Box(-1, 1, (4,)), "dense"),
        (Box(0, 255, (128,), "uint8"), "dense"),
        (Tuple((Discrete(3), MultiBinary(2))), "dense"),
        (Dict(a=Box(0, 1), b=Discrete(3)), "dense"),
        (Dict(a=Box(0, 1), action_mask=Box(0, 1, (3,), "int8")), "dense"),
        (Dict(a=Box(0, 1), b=Box(0, 1, (2,))), "entries"),
        (IMAGE, "entries"),
        (Dict(image=IMAGE, direction=Discrete(4)), "entries"),
        (Box(0, 1, (9, 9)), "entries"),
    ],
    ids=str,
)
def test_the_default_follows_the_observations(space, expected):
    assert default_encoder(AgentView(AnySpaces(space, Discrete(2)))) == expected


def test_entries_of_a_view_are_those_of_its_vector():
    space = Dict({"b": IMAGE, "c": Discrete(4), "a": Tuple((Discrete(2), MultiBinary((2, 2))))})
    view = AgentView(AnySpaces(Tuple((space, Box(-1, 1, ()))), Discrete(3)))
    assert view.entries == [
        {"shape": [6], "scale": 1.0},
        {"shape": [7, 8, 3], "scale": 1 / 255},
        {"shape": [4], "scale": 1.0},
        {"shape": [1], "scale": 1.0},
        {"shape": [5], "scale": 1.0},
    ]
    state = view.initial(view.draw_initial(random.key(0), 2))
    assert view.observation(state).shape == (2, sum(np.prod(e["shape"]) for e in view.entries))
    without = AgentView(AnySpaces(Discrete(2), Discrete(3)), previous_action=False)
    assert without.entries == [{"shape": [2], "scale": 1.0}, {"shape": [2], "scale": 1.0}]
