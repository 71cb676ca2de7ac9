import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend

pytestmark = pytest.mark.devices

jax_alone = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Only JAX runs a program on several devices."
)


def state_of(values):
    return {"shared": ops.ones((3,)), "own": {"x": ops.convert_to_tensor(values)}}


def to_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


@jax_alone
def test_each_device_sees_its_part_and_they_join_sums_and_means():
    def program(state):
        x, index = state["own"]["x"], backend.devices.index()
        total, mean = backend.devices.sum({"x": x, "sum": ops.sum(x)}), ops.mean(x)
        state = {"shared": state["shared"] + total["sum"], "own": {"x": x * (index + 1.0)}}
        return state, (total["x"], backend.devices.mean(mean))

    values = np.arange(8, dtype="float32").reshape(2, 4)
    run = backend.devices.compile(program, 2, ("own",))
    state, (total, mean) = to_numpy(run(state_of(values)))
    np.testing.assert_array_equal(state["own"]["x"], values * [[1.0], [2.0]])
    np.testing.assert_array_equal(state["shared"], np.full(3, 1.0 + values.sum()))
    np.testing.assert_array_equal(total, values.sum(axis=0))
    assert mean == values.mean()


@jax_alone
def test_states_from_elsewhere_and_from_the_program_run_the_same_compiled_program(caplog):
    import jax

    run = backend.devices.compile(lambda state: (state, state["shared"]), 2, ("own",))
    with jax.log_compiles():
        state, _ = run(state_of(np.zeros((2, 5), "float32")))
        state, _ = run(state)
        run(state | {"shared": ops.zeros((3,))})
    compiled = [r for r in caplog.records if r.getMessage().startswith("Compiling jit(program)")]
    assert len(compiled) == 1


@jax_alone
def test_what_devices_share_can_be_had_on_the_default_device_alone():
    def program(state):
        return state, backend.devices.sum(ops.sum(state["own"]["x"]))

    run = backend.devices.compile(program, 2, ("own",))
    state, total = run(state_of(np.ones((2, 5), "float32")))
    shared = backend.devices.on_default(state["shared"])
    kept = ops.convert_to_numpy(shared).copy()
    assert len(shared.devices()) == 1 < len(state["shared"].devices())
    run(state)  # gives the buffers of the state up
    np.testing.assert_array_equal(ops.convert_to_numpy(shared), kept)
    assert float(total) == 10 and backend.devices.on_default(shared) is shared


@jax_alone
def test_the_step_of_an_optimizer_is_that_of_the_mean_gradient():
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([keras.Variable(np.zeros(2, "float32"))])

    def program(state):
        def loss(values):
            return ops.sum(values[0] * state["own"]["x"]), {}

        weights, _, loss, _, norm = backend.gradient_step(
            loss, optimizer, [state["shared"]], [ops.copy(v.value) for v in optimizer.variables]
        )
        return state | {"shared": weights[0]}, norm

    slopes = np.array([[1.0, 5.0], [2.0, -1.0]], "float32")
    run = backend.devices.compile(program, 2, ("own",))
    state, norm = run({"shared": ops.zeros((2,)), "own": {"x": ops.convert_to_tensor(slopes)}})
    np.testing.assert_allclose(ops.convert_to_numpy(state["shared"]), -slopes.mean(axis=0))
    np.testing.assert_allclose(float(norm), np.linalg.norm(slopes.mean(axis=0)), rtol=1e-6)


@jax_alone
def test_the_host_can_be_called_from_each_device():
    def program(state):
        x = state["own"]["x"]
        doubled = backend.host_call(lambda array: 2 * array, x, x)
        return {"own": {"x": doubled}}, ()

    values = np.arange(6, dtype="float32").reshape(2, 3)
    run = backend.devices.compile(program, 2, ("own",))
    state, _ = run({"own": {"x": ops.convert_to_tensor(values)}})
    np.testing.assert_array_equal(ops.convert_to_numpy(state["own"]["x"]), 2 * values)


def test_everywhere_else_sums_and_means_are_what_they_are_given():
    x = ops.ones((3,))
    assert backend.devices.sum(x) is x and backend.devices.mean(x) is x
    assert backend.devices.index() == 0
    assert backend.devices.on_default(x) is x


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX runs on several devices.")
def test_other_backends_refuse_several_devices():
    assert backend.devices.count() == 1
    with pytest.raises(NotImplementedError, match="`num_devices` should be 1.*num_devices=2"):
        backend.devices.compile(lambda state: (state, ()), 2, ())
