import keras
import numpy as np
import pytest

from keras_s5rl.layers import GRU, S5, S5Stack, WithoutResets
from keras_s5rl.models import make_memory

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 6, 3)).astype("float32")
RESETS = np.array([[True, False, True, False, False, True], [False, True] * 3])
MASK = np.array([[True, False, False, True, True, True], [True, True, False, True, True, False]])


def all_to_numpy(tensors):
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in keras.tree.flatten(tensors)]


def close(found, expected):
    for a, b in zip(all_to_numpy(found), all_to_numpy(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def pair(**arguments):
    """A layer, and one of the same weights that ignores resets."""
    layer = GRU(4, seed=0, **arguments)
    ablated = WithoutResets(GRU(4, seed=0), **arguments)
    return layer, ablated


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("backwards", (False, True))
def test_it_gives_with_resets_what_its_layer_gives_without_them(backwards):
    layer, ablated = pair(return_state=True, go_backwards=backwards)
    start = RNG.normal(size=(2, 4)).astype("float32")
    given = {"initial_state": start, "mask": MASK}
    expected = layer(INPUTS, **given)
    close(ablated(INPUTS, resets=RESETS, **given), expected)
    cleared = layer(INPUTS, resets=RESETS, **given)
    assert np.abs(all_to_numpy(cleared)[0] - all_to_numpy(expected)[0]).max() > 1e-2


def test_a_step_with_a_reset_goes_on_from_the_state():
    layer, ablated = pair()
    state = RNG.normal(size=(2, 4)).astype("float32")
    close(
        ablated.step(INPUTS[:, 0], np.array([True, True]), state),
        layer.step(INPUTS[:, 0], None, state),
    )


def test_each_layer_computes_in_the_dtype_of_its_own_policy():
    layer = WithoutResets(GRU(4, seed=0), return_state=True, dtype="mixed_bfloat16")
    outputs, state = layer(INPUTS)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(state.dtype) == "float32"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' Variable and numpy 2
def test_a_saved_model_ignores_resets_still(tmp_path):
    sequence, resets = keras.Input((6, 3)), keras.Input((6,), dtype="bool")
    layer = WithoutResets(S5(4), return_sequences=False)
    model = keras.Model([sequence, resets], layer(sequence, resets=resets))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    close(loaded([INPUTS, RESETS]), model([INPUTS, ~RESETS]))


def test_the_memory_s5_no_resets_is_s5_that_ignores_resets():
    s5, ablated = (
        make_memory(memory, {"state_size": 4}, width=4, num_layers=1, seed=0)
        for memory in ("s5", "s5_no_resets")
    )
    assert isinstance(ablated.layer, S5Stack)
    inputs = RNG.normal(size=(2, 6, 4)).astype("float32")
    close(ablated(inputs, resets=RESETS), s5(inputs))
    assert isinstance(ablated.get_initial_state(2), list)


def test_a_layer_with_arguments_of_its_own_and_what_is_no_layer_are_refused():
    for wrong in (GRU(4, stateful=True), keras.layers.LSTM(4)):
        with pytest.raises(ValueError, match="(?s)`.*layer.*Received: layer"):
            WithoutResets(wrong)
