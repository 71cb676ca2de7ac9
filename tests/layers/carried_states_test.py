"""The states of stateful layers: carried by every model on every backend, in no list of weights."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, S5Stack
from tests.layers.every_layer import KINDS, LAYERS

pytestmark = pytest.mark.not_on_tensorflow

BATCH, TIME, FEATURES = 2, 4, 3
INPUTS = np.random.default_rng(0).normal(size=(BATCH, 2 * TIME, FEATURES)).astype("float32")
FIRST, SECOND = INPUTS[:, :TIME], INPUTS[:, TIME:]


@pytest.fixture(params=KINDS, ids=str)
def make(request):
    return KINDS[request.param]


@pytest.fixture(params=("S5", "S5Stack", "CausalAttention", "stacked cells"))
def one_of_a_kind(request):
    """A layer for each way of having states: one, some of each block, a cache, those of cells."""
    return LAYERS[request.param]


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def close(found, expected):
    np.testing.assert_allclose(to_numpy(found), to_numpy(expected), rtol=1e-4, atol=1e-5)


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.memory = layer

    def call(self, inputs):
        return self.memory(inputs)


def functional(layer, batch_size=BATCH):
    inputs = keras.Input(batch_shape=(batch_size, None, FEATURES))
    return keras.Model(inputs, layer(inputs))


def sequential(layer, batch_size=BATCH):
    inputs = keras.Input(batch_shape=(batch_size, None, FEATURES))
    return keras.Sequential([inputs, layer])


def nested(layer, batch_size=BATCH):
    inputs = keras.Input(batch_shape=(batch_size, None, FEATURES))
    return keras.Model(inputs, functional(layer, batch_size)(inputs))


def predict(model, inputs):
    return model.predict(inputs, batch_size=len(inputs), verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap", (sequential, functional, nested, Subclassed), ids=lambda wrap: wrap.__name__
)
def test_predict_goes_on_where_it_ended_in_every_kind_of_model(wrap):
    stateful, free = S5Stack(2, 4, state_size=8, stateful=True), S5Stack(2, 4, state_size=8)
    model = wrap(stateful)
    first = predict(model, FIRST)
    free.build(INPUTS.shape)
    free.set_weights(stateful.get_weights())
    whole = to_numpy(free(INPUTS))
    close(first, whole[:, :TIME])
    close(predict(model, SECOND), whole[:, TIME:])
    stateful.reset_state()
    close(predict(model, FIRST), whole[:, :TIME])
    stateful.reset_states()
    close(predict(model, FIRST), whole[:, :TIME])


@pytest.mark.slow
def test_every_layer_carries_its_states_through_predict_evaluate_and_fit(make):
    layer = make(stateful=True)
    model = functional(layer)
    free = make(return_state=True)
    free.build(INPUTS.shape)
    free.set_weights(layer.get_weights())
    whole, *states = free(INPUTS)
    _, *halfway = free(FIRST)
    close(predict(model, FIRST), whole[:, :TIME])
    close(predict(model, SECOND), whole[:, TIME:])
    for variable, state in zip(layer.states, keras.tree.flatten(states), strict=True):
        close(variable, state)

    layer.reset_state()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    targets = to_numpy(whole)
    for run in (model.evaluate, lambda *data, **kwargs: model.fit(*data, shuffle=False, **kwargs)):
        layer.reset_state()
        run(FIRST, targets[:, :TIME], batch_size=BATCH, verbose=0)
        for variable, state in zip(layer.states, keras.tree.flatten(halfway), strict=True):
            close(variable, state)
        loss = model.evaluate(SECOND, targets[:, TIME:], batch_size=BATCH, verbose=0)
        assert loss < 1e-8


@pytest.mark.slow_after(1)
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="`stateless_call` is for JAX.")
def test_stateless_call_hands_the_states_on(one_of_a_kind):
    import jax

    layer = one_of_a_kind(stateful=True)
    layer.build(INPUTS.shape)
    free = one_of_a_kind(return_state=True)
    free.build(INPUTS.shape)
    free.set_weights(layer.get_weights())
    call = jax.jit(layer.stateless_call)
    trainable, carried = (
        [variable.value for variable in variables]
        for variables in (layer.trainable_variables, layer.non_trainable_variables)
    )
    first, carried = call(trainable, carried, FIRST)
    second, carried = call(trainable, carried, SECOND)
    close(np.concatenate([first, second], axis=1), free(INPUTS)[0])
    assert all(to_numpy(state).max() == 0 for state in layer.states)


@pytest.mark.slow_after(1)
def test_stateful_stateless_and_other_batch_sizes_have_the_same_weights(one_of_a_kind):
    layers = [one_of_a_kind(), one_of_a_kind(stateful=True), one_of_a_kind(stateful=True)]
    for layer, batch_size in zip(layers, (None, BATCH, 5), strict=True):
        layer.build((batch_size, TIME, FEATURES))
    described = [[(weight.name, weight.shape) for weight in layer.weights] for layer in layers]
    assert described[0] == described[1] == described[2]
    assert len({layer.count_params() for layer in layers}) == 1
    for layer in layers[1:]:
        assert len(layer.variables) == len(layers[0].variables) + len(layer.state_shapes)
        assert {id(state) for state in layer.states} <= {id(v) for v in layer.variables}
        assert {id(state) for state in layer.states} <= {
            id(v) for v in layer.non_trainable_variables
        }
        layer.trainable = False
        assert len(layer.non_trainable_variables) == len(layer.variables)
        layer.trainable = True
    for source in layers:
        for target in layers:
            source.set_weights([weight + 0.1 for weight in source.get_weights()])
            target.set_weights(source.get_weights())
            for a, b in zip(source.get_weights(), target.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("suffix", ("weights.h5", "keras"))
def test_files_go_between_stateful_stateless_and_other_batch_sizes(one_of_a_kind, suffix, tmp_path):
    kinds = {"free": (False, None), "stateful": (True, BATCH), "larger": (True, 5)}
    models = {
        kind: functional(one_of_a_kind(stateful=stateful, name="memory"), size)
        for kind, (stateful, size) in kinds.items()
    }
    for source in models.values():
        source.layers[-1].set_weights([weight + 0.1 for weight in source.get_weights()])
        predict(source, np.ones((source.input_shape[0] or 1, TIME, FEATURES), "float32"))
        expected = source.get_weights()
        file = tmp_path / f"model.{suffix}"
        if suffix == "keras":
            source.save(file)
            loaded = keras.saving.load_model(file)
            assert loaded.layers[-1].stateful == source.layers[-1].stateful
            for state in loaded.layers[-1].states or ():
                assert np.abs(to_numpy(state)).max() == 0  # a loaded layer starts anew
        else:
            source.save_weights(file)
        for target in models.values():
            target.load_weights(file)
            for a, b in zip(target.get_weights(), expected, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ("weights.h5", "keras"))
def test_a_file_that_holds_states_among_the_weights_still_loads(
    one_of_a_kind, suffix, tmp_path, monkeypatch
):
    model = functional(one_of_a_kind(stateful=True, name="memory"))
    expected, file = predict(model, FIRST), tmp_path / f"model.{suffix}"
    kind = type(model.layers[-1])
    save = kind.save_own_variables

    def save_with_states(layer, store):
        save(layer, store)
        for index, state in enumerate(layer.states or (), start=len(store.keys())):
            store[str(index)] = state

    with monkeypatch.context() as patch:
        patch.setattr(kind, "save_own_variables", save_with_states)
        model.save(file) if suffix == "keras" else model.save_weights(file)
    for other in (one_of_a_kind(name="memory"), one_of_a_kind(stateful=True, name="memory")):
        target = functional(other)
        target.load_weights(file)
        close(predict(target, FIRST), expected)
    if suffix == "keras":
        close(predict(keras.saving.load_model(file), FIRST), expected)


def test_a_clone_has_states_of_its_own():
    model = functional(S5(state_size=8, stateful=True))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    predict(model, FIRST)
    assert np.abs(to_numpy(model.layers[-1].states[0])).max() > 0
    assert np.abs(to_numpy(clone.layers[-1].states[0])).max() == 0
    model.layers[-1].reset_state()
    np.testing.assert_array_equal(predict(clone, FIRST), predict(model, FIRST))


def test_a_summary_counts_no_states():
    model = functional(S5(state_size=8, stateful=True))
    free = functional(S5(state_size=8))
    assert model.count_params() == free.count_params()
    assert model.layers[-1].non_trainable_weights == []
