import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.ppo import kl_stop, losses
from keras_s5rl.ppo.kl_stop import steps_to_kl
from tests.support.learners import make_learner, to_numpy

MOVES = np.array([0.1, 0.2, 0.1, 0.3, -0.6, 0.2], "float32")
SCALES = np.array([1.0, 0.5, 2.0, 1.0, 1.0, 1.0], "float32")


def by_hand(target_kl):
    """The weight, the minibatches that were looked at with their KL, and the steps made."""
    weight, seen, made = 0.0, [], 0
    for move, scale in zip(MOVES, SCALES, strict=True):
        seen.append(scale * weight**2)
        if seen[-1] > 1.5 * target_kl:
            break
        weight, made = weight + move, made + 1
    return weight, seen, made


def metrics_with(kl):
    """Metrics of a step, of which all but the KL are twice as large."""
    return dict.fromkeys(kl_stop._METRICS, 2 * kl) | {"approx_kl": kl}


def run(target_kl, looked_at=None):
    """The same by `steps_to_kl`; it appends to `looked_at` the minibatches that it computes."""

    def record(move):
        looked_at.append(float(move))
        return move

    def step(carry, minibatch):
        (weight, skipped), (move, scale) = carry, minibatch
        if looked_at is not None:
            move = backend.ordered_host_call(record, np.float32(0), move)
        return (weight + move, skipped), metrics_with(scale * weight**2)

    def skip(carry):
        return carry[0], carry[1] + 1

    def program(weight, skipped, moves, scales):
        return steps_to_kl(step, skip, (weight, skipped), (moves, scales), target_kl)

    start = ops.zeros(()), ops.zeros((), "int32")
    program = backend.compile(program)
    return to_numpy(program(*start, ops.convert_to_tensor(MOVES), ops.convert_to_tensor(SCALES)))


# 1.5 times the last of them is between the KL of the fifth minibatch, .49, and that of the fourth.
@pytest.mark.slow_after(1)
@pytest.mark.portable
@pytest.mark.parametrize("target_kl", [0.2, 0.01, 1.0])
def test_steps_end_where_a_loop_stops_by_hand(target_kl):
    (weight, skipped), metrics = run(target_kl)
    expected, seen, made = by_hand(target_kl)
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    assert skipped == len(MOVES) - made
    np.testing.assert_allclose(metrics["gradient_step_share"], made / len(MOVES), rtol=1e-6)
    np.testing.assert_allclose(metrics["approx_kl"], np.mean(seen), rtol=1e-6)


@pytest.mark.portable
def test_minibatches_after_the_stop_are_not_computed():
    looked_at = []
    run(0.2, looked_at)
    _, seen, _ = by_hand(0.2)
    assert looked_at == MOVES[: len(seen)].tolist() and 2 < len(seen) < len(MOVES)


@pytest.mark.slow
def test_a_larger_target_makes_as_many_steps_or_more():
    targets = (1e-6, 0.01, 0.03, 0.1, 0.2, 0.4)
    shares = [float(run(target)[1]["gradient_step_share"]) for target in targets]
    assert shares == sorted(shares) and shares[0] == pytest.approx(1 / 6) and shares[-1] == 1.0


@pytest.mark.slow
@pytest.mark.not_on_tensorflow
def test_an_update_has_the_weights_of_a_loop_that_stops_by_hand():
    settings = {"num_epochs": 3, "learning_rate": 0.01, "anneal_learning_rate": False}
    learner = make_learner(memory="mlp", **settings, target_kl=0.004)
    config = learner.config
    state = learner.initial_state(random.key(0))
    played, rollout = backend.compile(learner.rollout)(state, random.key(1))
    batch = learner.training_batch(rollout, state["memory"])
    trainable, optimizer, metrics = backend.compile(learner.update)(
        state["trainable"], state["optimizer"], batch, random.key(2)
    )

    @backend.compile
    def step(trainable, optimizer, rows):
        taken = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), batch)
        taken["advantage"] = losses.normalize(taken["advantage"][None])[0]
        trainable, optimizer, _, metrics, _ = backend.gradient_step(
            lambda values: learner.loss(values, taken), learner.optimizer, trainable, optimizer
        )
        return learner.policy.constrain(trainable), optimizer, metrics["approx_kl"]

    rows = random.permutation(random.key(2), config.num_envs, batch=(config.num_epochs,))
    expected, moments, made, looked_at = state["trainable"], state["optimizer"], 0, []
    for minibatch in np.asarray(ops.convert_to_numpy(rows)).reshape(-1, 2):
        new, new_moments, kl = step(expected, moments, ops.convert_to_tensor(minibatch))
        looked_at.append(float(kl))
        if looked_at[-1] > 1.5 * config.target_kl:
            break
        expected, moments, made = new, new_moments, made + 1
    assert 2 < made < 12, "the target should stop the update half way"
    for value, other in zip(to_numpy(trainable), to_numpy(expected), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)
    for _ in range(made, 12):
        moments = learner.optimizer.skip(moments)
    for value, other in zip(to_numpy(optimizer), to_numpy(moments), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(float(metrics["gradient_step_share"]), made / 12, rtol=1e-6)
    np.testing.assert_allclose(float(metrics["approx_kl"]), np.mean(looked_at), rtol=1e-3)


@pytest.mark.devices
@pytest.mark.not_on_tensorflow
@pytest.mark.skipif(keras.config.backend() != "jax", reason="Only JAX has several devices.")
def test_devices_stop_together_by_their_mean():
    kl_of_device = np.array([[0.0, 0.1, 0.2, 0.2], [0.0, 0.1, 0.6, 0.0]], "float32")

    def step(carry, kl):
        return carry + 1.0, metrics_with(kl)

    def function(state):
        # 0, .1, .4, .1 on average: the third exceeds 1.5 * .2
        steps, metrics = steps_to_kl(step, lambda carry: carry, state["steps"], state["kl"], 0.2)
        return state | {"steps": steps}, backend.devices.mean(metrics)

    run = backend.devices.compile(function, 2, ("kl", "steps"))
    state, metrics = run({"kl": ops.convert_to_tensor(kl_of_device), "steps": ops.zeros(2)})
    np.testing.assert_array_equal(ops.convert_to_numpy(state["steps"]), [2.0, 2.0])
    assert float(metrics["gradient_step_share"]) == 0.5


@pytest.mark.skipif(keras.config.backend() != "jax", reason="Only JAX has `vmap`.")
def test_copies_of_a_program_stop_each_by_its_own_and_keep_the_branch():
    import jax

    def step(carry, kl):
        return carry + 1.0, metrics_with(kl)

    def program(kls):
        return steps_to_kl(step, lambda carry: carry, ops.zeros(()), kls, 0.2)

    # .32 exceeds 1.5 times the target, .3 does not.
    kls = [[0.0, 0.32, 0.0, 0.0], [0.0, 0.1, 0.2, 0.9], [0.0] * 4, [0.0, 0.3, 0.0, 0.0]]
    kls = np.array(kls, "float32")
    steps, metrics = jax.jit(jax.vmap(program))(kls)
    np.testing.assert_array_equal(steps, [1.0, 3.0, 4.0, 4.0])
    np.testing.assert_allclose(metrics["approx_kl"], [0.16, 0.3, 0.0, 0.075], rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], [0.32, 0.6, 0.0, 0.15], rtol=1e-6)
    assert "cond[" in str(jax.make_jaxpr(jax.vmap(program))(kls)), "steps are computed to the end"
