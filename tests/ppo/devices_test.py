"""Two devices that train together, against a loop over their parts on one."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.models.weights import values_in_place
from keras_s5rl.ppo import losses
from keras_s5rl.ppo.ended_episodes import ended_episodes
from keras_s5rl.ppo.reward_normalization import normalize_rewards
from keras_s5rl.ppo.rollout import collect_rollout
from tests.support.learners import SMALL, TwoTasks, make_learner, to_numpy

pytestmark = [
    pytest.mark.devices,
    pytest.mark.not_on_tensorflow,
    pytest.mark.skipif(
        keras.config.backend() != "jax", reason="Only JAX runs a program on several devices."
    ),
]

SETTINGS = {"num_minibatches": 2, "num_epochs": 2, "reward_scale": 1.0}


def iteration_of_the_whole(learner, state):
    """The iteration of two devices, with the environments of both side by side on one device."""
    config = learner.config
    key, rollout_key, update_key = ops.unstack(random.split(state["key"], 3), 3)
    parts = [
        keras.tree.map_structure(lambda x, d=d: x[d], [state["environment"], state["memory"]])
        for d in range(2)
    ]
    rollouts, ends, memories = [], [], []
    for device, (environment, memory) in enumerate(parts):
        variables = list(learner.policy.trainable_variables)
        if "statistics" in state:
            variables += learner.policy.normalization.variables
        with values_in_place(variables, [*state["trainable"], *state.get("statistics", [])]):
            end, memory, rollout = collect_rollout(
                learner.environment,
                learner.policy,
                environment,
                memory,
                random.fold_in(rollout_key, device),
                config,
            )
        rollouts.append(rollout)
        ends.append(end)
        memories.append(memory)
    rollout = keras.tree.map_structure(lambda *x: ops.concatenate(x, axis=1), *rollouts)
    memory = keras.tree.map_structure(
        lambda *x: ops.concatenate(x, axis=0), *[memory for _, memory in parts]
    )
    next_state = {
        "environment": keras.tree.map_structure(lambda *x: ops.stack(x), *ends),
        "memory": keras.tree.map_structure(lambda *x: ops.stack(x), *memories),
        "key": key,
    }
    if config.normalize_rewards:
        returns = {
            "return": ops.reshape(state["returns"]["return"], (-1,)),
            "square": state["returns"]["square"][0],
            "weight": state["returns"]["weight"][0],
        }
        returns, rollout["reward"] = normalize_rewards(
            returns,
            rollout["reward"],
            rollout["discount"],
            rollout["done"],
            rollout["task"],
            config.discount,
        )
        next_state["returns"] = {
            "return": ops.reshape(returns["return"], (2, -1)),
            "square": ops.stack([returns["square"]] * 2),
            "weight": ops.stack([returns["weight"]] * 2),
        }
    statistics = {}
    if "statistics" in state:
        statistics = {"statistics": state["statistics"]}
        merged = learner.policy.normalization.merged
        next_state["statistics"] = merged(state["statistics"], rollout["observation"])
    batch = learner.training_batch(rollout, memory)

    half = config.num_envs // 2
    orders = [
        random.permutation(random.fold_in(update_key, d), half, batch=(2,)) + d * half
        for d in range(2)
    ]
    trainable, optimizer, collected = state["trainable"], state["optimizer"], []
    for epoch in range(2):
        for minibatch in np.split(np.arange(half), 2):
            rows = ops.concatenate([order[epoch][minibatch] for order in orders])
            taken = keras.tree.map_structure(lambda x, rows=rows: ops.take(x, rows, axis=0), batch)
            if config.normalize_advantages != "task":
                taken["advantage"] = losses.normalize(taken["advantage"][None])[0]
            trainable, optimizer, loss, metrics, norm = backend.gradient_step(
                lambda values, taken=taken: learner.loss(values, taken | statistics),
                learner.optimizer,
                trainable,
                optimizer,
            )
            collected.append(metrics | {"loss": loss, "gradient_norm": norm})
    metrics = {name: sum(m[name] for m in collected) / len(collected) for name in collected[0]}
    metrics["explained_variance"] = losses.explained_variance(batch["value"], batch["value_target"])
    metrics |= ended_episodes(rollout, config.episodes_kept)
    metrics["weights"] = sum(ops.sum(ops.abs(value)) for value in trainable)
    return next_state | {"trainable": trainable, "optimizer": optimizer}, metrics


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ("PositionOnlyCartPoleEasy", {"memory": "s5"}),
        (
            TwoTasks(64.0),
            {
                "memory": "mlp",
                "normalize_rewards": True,
                "normalize_observations": True,
                "normalize_advantages": "task",
            },
        ),
    ],
)
def test_two_devices_do_what_one_does_with_the_environments_of_both(env, settings):
    learner = make_learner(env, **SETTINGS, **settings, num_devices=2)
    state = learner.initial_state(random.key(2))
    iterate = learner.compile(state)
    state, _ = iterate(state)  # amid episodes
    before = to_numpy(keras.tree.map_structure(backend.devices.on_default, state))
    oracle = backend.compile(lambda state: iteration_of_the_whole(learner, state))
    whole, expected = oracle(before)
    state, metrics = iterate(state)
    metrics, expected = to_numpy(metrics), to_numpy(expected)
    assert metrics["episodes"].shape == (SMALL["num_envs"],) and metrics["episodes"].sum() > 0
    for name in sorted(metrics):
        np.testing.assert_allclose(
            metrics[name], expected[name], rtol=1e-3, atol=1e-5, err_msg=name
        )
    keras.tree.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5),
        to_numpy(state),
        to_numpy(whole),
    )


def test_devices_start_with_episodes_of_their_own():
    learner = make_learner("PositionOnlyCartPoleEasy", num_devices=2)
    environment = to_numpy(learner.initial_state(random.key(0))["environment"])
    assert environment["is_first"].shape == (2, SMALL["num_envs"] // 2)
    starts = [x for x in keras.tree.flatten(environment["env"]) if x.dtype == "float32"]
    assert starts and all((first != second).all() for first, second in starts)
