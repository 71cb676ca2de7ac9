"""What is identified, against numpy's least squares; and that the bases don't matter."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers import S5, EquivariantMemory, SystemIdentification

SIZE, BATCH, TIME = 5, 2, 24
_RESET = 10


def trajectories(rng, turn=None, actions_turn=None):
    """A linear system with two actions, whose observations and actions may be turned."""
    dynamics, influence = 0.1 * rng.normal(size=(SIZE, SIZE)), 0.2 * rng.normal(size=(SIZE, 2))
    observations = np.zeros((BATCH, TIME, SIZE + 6))
    actions = rng.uniform(-0.6, 0.6, size=(BATCH, TIME, 2))
    states = rng.normal(size=(BATCH, SIZE))
    for t in range(TIME):
        observations[:, t, :SIZE] = states
        observations[:, t, SIZE + 2 : SIZE + 4] = actions[:, t - 1] if t else 0.0
        states = states + states @ dynamics.T + actions[:, t] @ influence.T + 0.05
        states = 0.3 * states if t == 7 else states  # a trial that starts
    observations[:, 8, SIZE + 1] = 1.0
    observations[..., SIZE] = rng.uniform(size=(BATCH, TIME))
    if turn is not None:
        observations[..., :SIZE] = observations[..., :SIZE] @ turn.T
        part = slice(SIZE + 2, SIZE + 4)
        observations[..., part] = observations[..., part] @ actions_turn.T
    return observations.astype("float32"), dynamics, influence


def orthogonal(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def test_the_model_is_that_of_least_squares_over_the_steps_of_trials():
    observations, dynamics, influence = trajectories(np.random.default_rng(0))
    layer = SystemIdentification(SIZE, drift=0.0, prior=1e4, return_state=True)
    _, _, model, *_ = backend.compile(lambda x: layer(x))(observations)

    for episode, found in zip(
        observations.astype("float64"), ops.convert_to_numpy(model), strict=True
    ):
        steps = [t for t in range(1, TIME) if t != 8]
        last = episode[[t - 1 for t in steps], :SIZE]
        change = episode[steps, :SIZE] - last
        known = np.concatenate(
            [last, episode[steps, SIZE + 2 : SIZE + 4], np.ones((len(steps), 1))], axis=1
        )
        expected = np.linalg.lstsq(known, change, rcond=None)[0]
        np.testing.assert_allclose(found, expected, atol=2e-3)
        np.testing.assert_allclose(found[:SIZE].T, dynamics, atol=5e-3)
        np.testing.assert_allclose(found[SIZE : SIZE + 2].T, influence, atol=5e-3)


@pytest.fixture(scope="module")
def memory():
    layer = EquivariantMemory(
        S5(8, seed=1),
        SIZE,
        num_products=6,
        num_directions=3,
        encoder_sizes=(16,),
        seed=0,
        return_state=True,
    )
    layer.build((None, None, SIZE + 6))
    run = backend.compile(lambda x, resets: layer(x, resets=resets))
    return layer, run


def test_turned_observations_and_actions_turn_the_directions_and_leave_the_features(memory):
    layer, run = memory
    rng = np.random.default_rng(1)
    turn, actions_turn = orthogonal(rng, SIZE), orthogonal(rng, 2)
    resets = np.zeros((BATCH, TIME), bool)
    outputs = [
        ops.convert_to_numpy(run(trajectories(np.random.default_rng(2), *turns)[0], resets)[0])
        for turns in ((), (turn, actions_turn))
    ]
    (features, directions), (turned_features, turned_directions) = (
        (values[..., :-6], values[..., -6:].reshape(BATCH, TIME, 3, 2)) for values in outputs
    )
    np.testing.assert_allclose(turned_features, features, atol=2e-3)
    np.testing.assert_allclose(turned_directions, directions @ actions_turn.T, atol=2e-3)
    assert features.std(axis=1).min() > 1e-4 and np.abs(directions[:, 3:]).mean() > 0.02
    assert np.abs(directions - directions @ actions_turn.T).mean() > 0.02


def test_a_sequence_with_a_reset_is_its_pieces_apart_and_its_steps(memory):
    layer, run = memory
    observations = trajectories(np.random.default_rng(3))[0]
    resets = np.zeros((BATCH, TIME), bool)
    resets[:, _RESET] = True
    whole = ops.convert_to_numpy(run(observations, resets)[0])
    padded = np.concatenate([observations[:, _RESET:], observations[:, :_RESET]], axis=1)
    later = ops.convert_to_numpy(run(padded, np.zeros_like(resets))[0])[:, : TIME - _RESET]
    np.testing.assert_allclose(whole[:, _RESET:], later, atol=1e-3)

    step = backend.compile(layer.step)
    state, steps = layer.get_initial_state(BATCH), []
    for t in range(TIME):
        outputs, state = step(observations[:, t], resets[:, t], state)
        steps.append(ops.convert_to_numpy(outputs))
    np.testing.assert_allclose(np.stack(steps, axis=1), whole, atol=1e-3)


def test_a_masked_step_is_not_taken_in():
    observations = trajectories(np.random.default_rng(4))[0]
    layer = SystemIdentification(SIZE, return_state=True)
    mask = np.ones((BATCH, TIME), bool)
    mask[:, 5:] = False
    run = backend.compile(lambda x, mask: layer(x, mask=mask))
    states = run(observations, mask)[1:]
    observations[:, 5:] = 7.0
    for state, other in zip(states, run(observations, mask)[1:], strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(state), ops.convert_to_numpy(other))


@pytest.mark.slow
def test_a_memory_is_made_again_from_its_config(memory):
    layer, _ = memory
    config = layer.get_config()
    other = EquivariantMemory.from_config(config)
    assert other.get_config() == config and other.state_shapes == layer.state_shapes


def test_other_inputs_than_those_of_the_agent_are_refused():
    with pytest.raises(ValueError, match="should have 11 features: 5 of the observation"):
        SystemIdentification(SIZE).build((None, None, SIZE + 4))
    with pytest.raises(ValueError, match="`drift` should be a number that is not negative"):
        SystemIdentification(SIZE, drift=-1.0)
