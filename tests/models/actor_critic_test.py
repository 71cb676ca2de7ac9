import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.models import (
    ActorCritic,
    Categorical,
    DiagonalGaussian,
    load_policy,
    make_memory,
)
from tests.support.differentiate import compiled

# All but s5_no_resets, which ignores resets (tests/layers/without_resets_test.py)
MEMORIES = ["s5", "gru", "lstm", "lru", "mingru", "mlp", "s6", "ffm", "shm"]
BATCH, TIME, SIZE = 3, 9, 5
MEMORY_ARGS = {
    "s5": {"state_size": 8},
    "lru": {"state_size": 8},
    "s6": {"state_size": 4},
    "ffm": {"memory_size": 4, "context_size": 2},
    "shm": {"matrix_size": 4},
    "gtrxl": {"context_length": 4, "num_heads": 2},
    "attention": {"context_length": 4, "num_heads": 2},
}


def make_policy(memory="s5", distribution=None, seed=1, dtype="float32"):
    return ActorCritic(
        SIZE,
        distribution or Categorical(3),
        make_memory(memory, MEMORY_ARGS.get(memory), width=8, num_layers=2, seed=seed, dtype=dtype),
        encoder_sizes=(8,),
        head_sizes=(8,),
        seed=seed,
        dtype=dtype,
    )


def sequence(seed=0):
    generator = np.random.default_rng(seed)
    observations = generator.normal(size=(BATCH, TIME, SIZE)).astype("float32")
    resets = generator.random((BATCH, TIME)) < 0.3
    resets[0, 0], resets[1, 0] = True, False
    return observations, resets


def random_state(policy, seed=0):
    generator = np.random.default_rng(seed)
    return [
        ops.convert_to_tensor(generator.normal(size=s.shape).astype("float32"))
        for s in policy.get_initial_state(BATCH)
    ]


def numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def assert_close(first, second, tolerance=1e-5):
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        numpy(first),
        numpy(second),
    )


@pytest.mark.slow
@pytest.mark.portable
@pytest.mark.parametrize("memory", [*MEMORIES, "attention", "gtrxl", "s5_no_resets"])
def test_steps_equal_the_sequence(memory):
    policy = make_policy(memory)
    observations, resets = sequence()
    state = random_state(policy)
    step = compiled(policy.step)
    parameters, value, final_state = compiled(policy.call)(observations, resets, state)
    for t in range(TIME):
        step_parameters, step_value, state = step(observations[:, t], resets[:, t], state)
        assert_close((step_parameters, step_value), (parameters[:, t], value[:, t]))
    assert_close(state, final_state)
    assert tuple(parameters.shape) == (BATCH, TIME, 3) and tuple(value.shape) == (BATCH, TIME)


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_one_sequence_with_resets_equals_its_pieces_run_apart(memory):
    policy = make_policy(memory)
    observations, _ = sequence()
    resets = np.zeros((BATCH, TIME), bool)
    resets[:, 4] = True
    whole = policy(observations, resets=resets, initial_state=random_state(policy))
    first = policy(observations[:, :4], initial_state=random_state(policy))
    second = policy(observations[:, 4:])
    for index in (0, 1):
        assert_close(ops.concatenate([first[index], second[index]], axis=1), whole[index])
    assert_close(second[2], whole[2])


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("memory", ["s5", "gru", "lstm", "attention"])
def test_nothing_of_a_state_crosses_a_reset_not_even_nan(memory):
    policy = make_policy(memory)
    observations, _ = sequence()
    resets = np.zeros((BATCH, TIME), bool)
    resets[:, 0] = True
    poisoned = [ops.full(s.shape, np.nan) for s in policy.get_initial_state(BATCH)]
    assert_close(policy(observations, resets=resets, initial_state=poisoned), policy(observations))


def test_state_is_a_flat_list_of_float32_tensors_with_the_batch_first():
    for memory, count in [("s5", 2), ("gru", 2), ("lstm", 4), ("attention", 6), ("mlp", 0)]:
        state = make_policy(memory).get_initial_state(7)
        assert isinstance(state, list) and len(state) == count
        for tensor in state:
            assert tensor.shape[0] == 7
            assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
            assert not numpy(tensor).any()


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_mixed_bfloat16_keeps_states_logits_and_values_in_float32(memory):
    policy = make_policy(memory, dtype="mixed_bfloat16")
    observations, resets = sequence()
    state = random_state(policy)
    results = policy(observations, resets=resets, initial_state=state)
    for tensor in keras.tree.flatten(results):
        assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
    assert_close(
        results[1], make_policy(memory)(observations, resets=resets, initial_state=state)[1], 0.1
    )
    # The state enters unrounded: a change far below bfloat16's resolution comes through.
    if memory == "s5":
        nudged = policy(observations[:, :1], initial_state=[s * (1 + 1e-5) for s in state])[2]
        plain = policy(observations[:, :1], initial_state=state)[2]
        assert all((a != b).any() for a, b in zip(numpy(nudged), numpy(plain), strict=True))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("memory", [*MEMORIES, "attention", "gtrxl", "s5_no_resets"])
def test_the_summary_of_a_policy_lists_its_layers_with_their_shapes(memory):
    policy, lines = make_policy(memory), []
    policy.summary(expand_nested=True, print_fn=lambda line, **unused: lines.append(line))
    summary = "".join(lines)
    assert "actor_outputs (Dense)" in summary and "(None, None, 3)" in summary
    assert f"Total params: {policy.count_params():,}" in summary


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_saved_policy_gives_the_same_outputs(memory, tmp_path):
    policy = make_policy(memory, DiagonalGaussian([-2.0], [2.0]))
    policy.save(tmp_path / "policy.keras")
    loaded = load_policy(tmp_path / "policy.keras")
    observations, resets = sequence()
    assert_close(loaded(observations, resets=resets), policy(observations, resets=resets), 1e-6)


def test_load_policy_says_what_is_wrong_with_a_path(tmp_path):
    message = "`path` should be the file of a policy.*Received: path='nowhere"
    with pytest.raises(ValueError, match=message):
        load_policy("nowhere.keras")
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="holds a Sequential"):
        load_policy(tmp_path / "m.keras")


@pytest.mark.slow
def test_the_mode_is_the_likeliest_action_and_draws_need_a_key():
    policy = make_policy()
    observations, resets = sequence()
    state = policy.get_initial_state(BATCH)
    parameters, _, next_state = policy.step(observations[:, 0], resets[:, 0], state)
    action, acted_state = policy.act(observations[:, 0], resets[:, 0], state)
    assert numpy(action).tolist() == numpy(parameters).argmax(-1).tolist()
    assert_close(acted_state, next_state)
    with pytest.raises(ValueError, match="`key` should be a key.*Received: key=None"):
        policy.act(observations[:, 0], resets[:, 0], state, deterministic=False)


def test_drawn_actions_follow_the_key():
    policy = make_policy(distribution=DiagonalGaussian([-2.0], [2.0]))
    observations, resets = sequence()
    state = policy.get_initial_state(BATCH)

    def draw(seed):
        arguments = {"deterministic": False, "key": random.key(seed)}
        return numpy(policy.act(observations[:, 0], resets[:, 0], state, **arguments)[0])

    assert (draw(0) == draw(0)).all() and (draw(0) != draw(1)).all()


def test_log_std_starts_at_its_setting_in_half_ranges_and_has_a_minimum():
    policy = make_policy(distribution=DiagonalGaussian([-2.0], [2.0]))
    observations, _ = sequence()
    log_std = numpy(policy(observations)[0])[..., 1]
    np.testing.assert_allclose(log_std, -0.5 + np.log(2.0), rtol=1e-5)
    policy.log_std.assign([-50.0])
    np.testing.assert_allclose(
        numpy(policy(observations)[0])[..., 1], -5.0 + np.log(2.0), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("log_std", [-5.0, -4.0])
def test_log_std_at_its_bound_has_the_whole_gradient(log_std):
    policy = make_policy(distribution=DiagonalGaussian([-2.0, -2.0], [2.0, 2.0]))
    policy.log_std.assign([log_std, log_std])
    observations, _ = sequence()
    variables = policy.trainable_variables

    def entropy(values):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            parameters = policy(observations)[0]
            return ops.mean(policy.distribution.entropy(parameters)), ()

    values = [variable.value for variable in variables]
    _, gradients = backend.value_and_gradients(entropy, values)
    index = next(i for i, variable in enumerate(variables) if variable is policy.log_std)
    np.testing.assert_allclose(numpy(gradients[index]), [1.0, 1.0], rtol=1e-5)


def test_constrained_values_have_log_std_at_its_bound_or_above_and_all_else_as_it_was():
    policy = make_policy(distribution=DiagonalGaussian([-2.0, -2.0], [2.0, 2.0]))
    policy.log_std.assign([-6.0, -4.0])
    values = [variable.value for variable in policy.trainable_variables]
    for variable, before, after in zip(
        policy.trainable_variables, values, policy.constrain(values), strict=True
    ):
        expected = [-5.0, -4.0] if variable is policy.log_std else numpy(before)
        np.testing.assert_array_equal(numpy(after), expected)


def test_the_first_policy_is_close_to_uniform():
    observations, resets = sequence()
    logits = numpy(make_policy()(observations, resets=resets)[0])
    assert np.abs(logits).max() < 0.1


def test_equal_seeds_give_equal_weights_and_layers_differ():
    first, second, other = make_policy(seed=1), make_policy(seed=1), make_policy(seed=2)
    assert_close(first.get_weights(), second.get_weights(), 0)
    assert any(
        (a != b).any() for a, b in zip(first.get_weights(), other.get_weights(), strict=True)
    )
    kernels = [w for w in first.get_weights() if w.shape == (8, 8)]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)
