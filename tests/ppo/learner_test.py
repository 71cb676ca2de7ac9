import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.rollout import collect_rollout
from tests.support.learners import SMALL, Countdown, TwoTasks, make_learner, run_once, to_numpy

pytestmark = pytest.mark.not_on_tensorflow


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("env", "memory"),
    [
        ("PositionOnlyPendulumEasy", "s5"),  # a continuous action
        *(("PositionOnlyCartPoleEasy", memory) for memory in ("s5", "lstm", "attention", "ffm")),
    ],
)
def test_every_ratio_is_1_before_the_first_gradient_step(env, memory):
    # Second rollout: it starts amid episodes, from a memory that is not zero, and holds episode
    # ends.
    learner = make_learner(env, memory)
    learner.config = PPOConfig(**SMALL | {"num_steps": 120})

    @backend.compile
    def two_rollouts(state):
        for _ in range(2):
            key, rollout_key = random.split(state["key"])
            memory = state["memory"]
            environment, next_memory, rollout = collect_rollout(
                learner.environment,
                learner.policy,
                state["environment"],
                memory,
                rollout_key,
                learner.config,
            )
            state = {"environment": environment, "memory": next_memory, "key": key}
        parameters, value, final_memory = learner.policy(
            ops.swapaxes(rollout["observation"], 0, 1),
            resets=ops.swapaxes(rollout["reset"], 0, 1),
            initial_state=memory,
        )
        log_prob = learner.policy.distribution.log_prob(
            parameters, ops.swapaxes(rollout["action"], 0, 1)
        )
        return (
            ops.swapaxes(log_prob, 0, 1),
            ops.swapaxes(value, 0, 1),
            rollout,
            next_memory,
            final_memory,
        )

    state = learner.initial_state(random.key(0))
    log_prob, value, rollout, next_memory, final_memory = to_numpy(
        two_rollouts({name: state[name] for name in ("environment", "memory", "key")})
    )
    assert rollout["reset"].any() and not rollout["reset"][0].all()
    np.testing.assert_allclose(np.exp(log_prob - rollout["log_prob"]), 1.0, atol=1e-5)
    np.testing.assert_allclose(value, rollout["value"], atol=1e-5)
    for replayed, stored in zip(final_memory, next_memory, strict=True):
        np.testing.assert_allclose(replayed, stored, atol=1e-5)


@pytest.mark.slow
def test_rollout_equals_a_plain_loop_over_its_pieces():
    learner = make_learner(Countdown(), num_steps=12)
    state = learner.initial_state(random.key(1))
    environment, policy = learner.environment, learner.policy
    collect = backend.compile(
        lambda e, m, k: collect_rollout(environment, policy, e, m, k, learner.config)
    )
    end, memory, rollout = to_numpy(collect(state["environment"], state["memory"], random.key(7)))

    current, remembered = state["environment"], state["memory"]
    value, next_value = [], []
    for t, key in enumerate(random.split(random.key(7), 12)):
        observation = environment.observation(current)
        np.testing.assert_array_equal(rollout["observation"][t], observation)
        np.testing.assert_array_equal(rollout["reset"][t], current["is_first"])
        parameters, v, remembered = policy.step(observation, current["is_first"], remembered)
        action = policy.distribution.sample(parameters, key)
        current, transition = environment.step(current, action)
        # The final observation follows in the same episode: no reset, the memory after this step.
        _, final, _ = policy.step(transition["final_observation"], np.zeros(8, bool), remembered)
        _, following, _ = policy.step(
            environment.observation(current), current["is_first"], remembered
        )
        transition, v, final, following = to_numpy((transition, v, final, following))
        only_truncated = transition["truncated"] & ~transition["terminated"]
        value.append(v)
        next_value.append(np.where(only_truncated, final, following))
        np.testing.assert_array_equal(rollout["action"][t], action)
        np.testing.assert_array_equal(rollout["reward"][t], transition["reward"])
        np.testing.assert_array_equal(rollout["discount"][t], 1.0 - transition["terminated"])
        np.testing.assert_array_equal(
            rollout["done"][t], transition["terminated"] | transition["truncated"]
        )
    np.testing.assert_allclose(rollout["value"], np.stack(value), atol=1e-5)
    np.testing.assert_allclose(rollout["next_value"], np.stack(next_value), atol=1e-5)
    assert (rollout["done"] & (rollout["discount"] == 1)).any(), "no truncated step was seen"
    assert (rollout["discount"] == 0).any(), "no terminated step was seen"
    for tensor, expected in zip(memory, to_numpy(remembered), strict=True):
        np.testing.assert_allclose(tensor, expected, atol=1e-5)
    np.testing.assert_array_equal(end["env"]["env"]["time"], current["env"]["env"]["time"])


@pytest.mark.slow
def test_truncation_as_termination_ends_the_return_wherever_an_episode_ends():
    learner = make_learner(Countdown(), treat_truncation_as_termination=True, stagger_starts=False)
    state = learner.initial_state(random.key(1))
    _, _, rollout = collect_rollout(
        learner.environment,
        learner.policy,
        state["environment"],
        state["memory"],
        random.key(2),
        learner.config,
    )
    rollout = to_numpy(rollout)
    np.testing.assert_array_equal(rollout["discount"] == 0, rollout["done"])


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 2])
def test_an_epoch_takes_every_environment_of_a_device_once(num_devices, monkeypatch):
    learner = make_learner(num_minibatches=4, num_epochs=3, num_devices=num_devices)
    num_envs = 8 // num_devices
    seen = []

    def count(loss_fn, optimizer, trainable, optimizer_values):
        loss, minibatch_ids = loss_fn(trainable)
        seen.append(minibatch_ids.shape)
        counts = trainable[0] + ops.sum(ops.one_hot(minibatch_ids, num_envs), axis=0)
        return [counts], optimizer_values, loss, {}, loss

    monkeypatch.setattr(backend, "gradient_step", count)
    monkeypatch.setattr(learner.policy, "constrain", lambda trainable: trainable)
    monkeypatch.setattr(learner, "loss", lambda values, batch: (ops.zeros(()), batch["id"]))
    batch = {"id": ops.arange(num_envs, dtype="int32"), "advantage": ops.zeros((num_envs, 2))}
    (counts,), _, _ = learner.update([ops.zeros(num_envs)], [], batch, random.key(0))
    np.testing.assert_array_equal(counts, np.full(num_envs, 3.0))
    assert set(seen) == {(2 // num_devices,)}


@pytest.mark.slow
def test_metrics_count_the_episodes_and_returns_are_those_of_the_environment():
    learner = make_learner(
        Countdown(), num_steps=35, stagger_starts=False, reward_scale=100.0, num_envs=32
    )
    state, metrics = run_once(learner, learner.initial_state(random.key(0)))
    metrics = to_numpy(metrics)
    # 35 steps hold 7 episodes of 5 or 5 of 7: always whole ones only where no kind is mixed, so at
    # least 5 an environment.
    assert metrics["episodes"].shape == (32,)
    assert (metrics["episodes"] >= 4).all() and (metrics["episodes"] <= 7).all()
    lengths, returns = metrics["episode_lengths"], metrics["episode_returns"]
    assert lengths.shape == returns.shape == (32, 4) and set(lengths.flat) == {5, 7}
    # Rewards are 1 or 2: returns lie between once and twice the length, whatever the scale for
    # learning.
    assert (lengths <= returns).all() and (returns <= 2 * lengths).all()
    assert sorted(metrics) == sorted(
        [
            "approx_kl",
            "clip_fraction",
            "entropy",
            "episode_lengths",
            "episode_returns",
            "episodes",
            "explained_variance",
            "gradient_norm",
            "loss",
            "policy_loss",
            "value_loss",
            "weights",
        ]
    )


@pytest.mark.slow
def test_policy_loss_of_normalized_advantages_is_0_while_the_weights_are_the_old_ones():
    learner = make_learner(num_epochs=1, num_minibatches=1, learning_rate=1e-12)
    _, metrics = run_once(learner, learner.initial_state(random.key(0)))
    assert float(metrics["policy_loss"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["approx_kl"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["entropy"]) == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.slow
def test_with_normalized_rewards_nothing_depends_on_the_size_of_the_rewards_of_a_task():
    results = []
    for factor in (1.0, 64.0):
        learner = make_learner(TwoTasks(factor), normalize_rewards=True, reward_scale=1.0)
        state = learner.initial_state(random.key(0))
        iterate = learner.compile(state)
        for _ in range(2):
            state, metrics = iterate(state)
        results.append((metrics["loss"], state["trainable"], state["returns"]["square"]))
    (loss, weights, square), (other_loss, other_weights, other_square) = map(to_numpy, results)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-4)
    for weight, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(other, weight, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(other_square / square, [1.0, 64.0**2], rtol=1e-4)


@pytest.mark.slow
def test_an_environment_without_tasks_has_its_rewards_normalized_as_one():
    learner = make_learner(Countdown(), normalize_rewards=True, reward_scale=1.0, num_steps=35)
    state, _ = run_once(learner, learner.initial_state(random.key(0)))
    assert state["returns"]["square"].shape == (1,)
    assert float(state["returns"]["weight"][0]) == pytest.approx(0.01 * 8 * 35, rel=1e-5)


@pytest.mark.slow
def test_advantages_are_normalized_in_each_task_on_request():
    learner = make_learner(TwoTasks(64.0), normalize_advantages="task")
    state = learner.initial_state(random.key(0))

    @backend.compile
    def batch_of(state):
        _, rollout = learner.rollout(state, state["key"])
        return learner.training_batch(rollout, state["memory"]), rollout["task"]

    batch, task = to_numpy(batch_of(state))
    for number in (0, 1):
        own = batch["advantage"][np.swapaxes(task, 0, 1) == number]
        assert own.mean() == pytest.approx(0.0, abs=1e-5) and own.std() == pytest.approx(1.0, 1e-4)


@pytest.mark.slow
def test_equal_states_give_equal_bits_and_the_key_moves_on():
    learner = make_learner(memory="gru")
    results = []
    for _ in range(2):
        state, metrics = run_once(learner, learner.initial_state(random.key(5)))
        results.append(to_numpy((state, metrics)))
    keras.tree.map_structure(np.testing.assert_array_equal, *results)
    before = to_numpy(learner.initial_state(random.key(5)))
    assert (results[0][0]["key"] != before["key"]).any()
    assert any(
        (new != old).any()
        for new, old in zip(results[0][0]["trainable"], before["trainable"], strict=True)
    )


@pytest.mark.skipif(keras.config.backend() != "torch", reason="Only torch records unasked.")
def test_no_tensor_of_a_state_records_gradients():
    learner = make_learner(memory="mlp")
    state = learner.initial_state(random.key(0))
    tensors = keras.tree.flatten((state, run_once(learner, state)))
    assert not any(tensor.requires_grad for tensor in tensors)


@pytest.mark.slow
def test_the_update_raises_the_probability_of_rewarded_actions():
    # Action 1 earns 2 and action 0 earns 1: within a few updates the policy prefers 1.
    learner = make_learner(Countdown(), learning_rate=1e-2, anneal_learning_rate=False)
    state = learner.initial_state(random.key(0))
    iterate = learner.compile(state)
    first = last = None
    for _ in range(15):
        state, metrics = iterate(state)
        last = float(ops.sum(metrics["episode_returns"]) / ops.sum(metrics["episode_lengths"]))
        first = last if first is None else first
    assert first < 1.7 < 1.9 < last


@pytest.mark.slow
def test_log_std_below_its_bound_rises_where_the_loss_wants_it():
    # The entropy outweighs everything: each step raises the log standard deviation.
    settings = {"entropy_coefficient": 100.0, "min_log_std": -0.5, "learning_rate": 1e-2}
    learner = make_learner("PositionOnlyPendulumEasy", "mlp", **settings)
    learner.policy.log_std.assign([-0.6])
    state, _ = run_once(learner, learner.initial_state(random.key(0)))
    (log_std,) = [
        value
        for variable, value in zip(
            learner.policy.trainable_variables, state["trainable"], strict=True
        )
        if variable is learner.policy.log_std
    ]
    assert float(ops.min(log_std)) > -0.45
