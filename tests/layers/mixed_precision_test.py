"""The state of a layer comes through every kind of model to the last bit."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(2, 5, 3)).astype("float32")
STATE = (1 + RNG.random((2, 2, 4)) * 1e-3).astype("float32")  # all 1 in half precision


@pytest.fixture(params=("mixed_bfloat16", "mixed_float16"))
def layer(request):
    return S5(state_size=8, return_state=True, seed=0, dtype=request.param)


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def hands_on_state(outputs, layer):
    """Whether the final state among the outputs is that of the layer called by itself."""
    expected = to_numpy(layer(INPUTS, initial_state=STATE)[1])
    rounded = STATE.astype("float16").astype("float32")
    assert (to_numpy(layer(INPUTS, initial_state=rounded)[1]) != expected).any()
    return (to_numpy(outputs[1]) == expected).all()


class Subclassed(keras.Model):
    def __init__(self, layer, **kwargs):
        super().__init__(dtype=layer.dtype_policy, **kwargs)
        self.layer = layer

    def call(self, inputs, state):
        return self.layer(inputs, initial_state=state)


def functional(layer):
    inputs, state = keras.Input((None, 3)), keras.Input((2, 4))
    return keras.Model([inputs, state], layer(inputs, initial_state=state))


@pytest.mark.slow_after(1)
def test_functional_models_keep_it(layer):
    model = functional(layer)
    assert hands_on_state(model([INPUTS, STATE]), layer)
    assert hands_on_state(model.predict([INPUTS, STATE], verbose=0), layer)
    inputs, state = keras.Input((None, 3)), keras.Input((2, 4))
    nested = keras.Model([inputs, state], model([inputs, state]))
    assert hands_on_state(nested([INPUTS, STATE]), layer)


@pytest.mark.slow_after(1)
def test_a_stateful_layer_in_a_sequential_model_keeps_it(layer):
    stateful = S5(state_size=8, stateful=True, seed=0, dtype=layer.dtype_policy)
    model = keras.Sequential([keras.Input(batch_shape=INPUTS.shape), stateful])
    stateful.states[0].assign(STATE)
    model.predict(INPUTS, batch_size=2, verbose=0)
    assert hands_on_state((None, stateful.states[0]), layer)


@pytest.mark.slow_after(1)
def test_a_subclassed_model_rounds_it_with_a_warning_unless_autocast_is_off(layer):
    assert hands_on_state(Subclassed(layer, autocast=False)(INPUTS, STATE), layer)
    with pytest.warns(UserWarning, match="(?s)`initial_state`.*autocast=False.*Received.*float16"):
        outputs = Subclassed(layer)(INPUTS, STATE)
    assert not hands_on_state(outputs, layer)


@pytest.mark.slow_after(1)
def test_keras_bidirectional_rounds_it_with_a_warning_unless_autocast_is_off(layer, tmp_path):
    wrapped = keras.layers.Bidirectional(layer, autocast=False, dtype=layer.dtype_policy)
    inputs, state = keras.Input((None, 3)), keras.Input((2, 4))
    model = keras.Model([inputs, state], wrapped(inputs, initial_state=[state, state]))
    assert hands_on_state(model([INPUTS, STATE])[:2], wrapped.forward_layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="`initial_state`.*autocast=False"):
        loaded([INPUTS, STATE])
    loaded.layers[-1].autocast = False  # Keras does not save it
    assert hands_on_state(loaded([INPUTS, STATE])[:2], wrapped.forward_layer)


@pytest.mark.slow_after(1)
def test_a_step_in_a_subclassed_model_warns_too(layer):
    class Stepped(Subclassed):
        def call(self, inputs, state):
            return self.layer.step(inputs[:, 0], None, state)

    with pytest.warns(UserWarning, match="`initial_state`"):
        Stepped(layer)(INPUTS, STATE)
