import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.control.projected_cart_pole import ProjectedCartPole
from tests.envs.play import play
from tests.envs.popgym import chi_square
from tests.support.differentiate import BACKEND, compiled

NUM_ENVS, NUM_TRIALS, TRIAL_STEPS = 12, 3, 20
WATCHED = ("trial", "trial_step", "trial_returns")
OURS = {
    "same_start": False,
    "observe_speeds": True,
    "project_actions": True,
    "failure_ends_return": False,
}
PLAIN = {"project_observations": False}


def to_numpy(draws):
    return keras.tree.map_structure(ops.convert_to_numpy, draws)


def push(physics, to_the_right):
    x, v, h, w = physics
    tmp = ((10.0 if to_the_right else -10.0) + 0.05 * w**2 * np.sin(h)) / 1.1
    turn = (9.8 * np.sin(h) - np.cos(h) * tmp) / (0.5 * (4 / 3 - 0.1 * np.cos(h) ** 2 / 1.1))
    slide = tmp - 0.05 * turn * np.cos(h) / 1.1
    return np.array([x + 0.02 * v, v + 0.02 * slide, h + 0.02 * w, w + 0.02 * turn])


def context(draws, actions, env):
    """One context by the definition, as a dict of lists over time."""
    speeds = env.project_actions  # in these cases both go together
    starts = np.atleast_2d(draws["init_state"]).astype("float64")
    scale = np.array([2.4, 2.0, np.radians(12), 2.0]) if speeds else [2.4, np.radians(12)]
    matrix = draws.get("projection", np.eye(2))

    seen = {name: [] for name in ("obs", *WATCHED, "discount")}
    seen |= {"rewards": [], "terminated": [], "truncated": []}

    def look(discount):
        entries = (physics if speeds else physics[::2]) / scale
        seen["obs"].append([*(matrix @ entries), float(step == 0)])
        seen["trial"].append(trial)
        seen["trial_step"].append(step)
        seen["trial_returns"].append(returns.copy())
        seen["discount"].append(discount)

    trial, step, returns, physics = 0, 0, np.zeros(env.num_trials), starts[0]
    look(1.0)
    for action in actions:
        physics = push(physics, action != draws.get("swapped", False))
        fallen = abs(physics[0]) > 2.4 or abs(physics[2]) > np.radians(12)
        returns[trial] += 1 / env.trial_steps
        step += 1
        if fallen or step == env.trial_steps:
            trial, step = trial + 1, 0
            physics = starts[min(trial, len(starts) - 1)]
        over = trial == env.num_trials
        seen["rewards"].append(1 / env.trial_steps)
        seen["terminated"].append(over and not env.failure_ends_return)
        seen["truncated"].append(over and env.failure_ends_return)
        look(1.0 - (fallen if env.failure_ends_return else over))
        if over:
            return seen


on_jax = pytest.mark.skipif(BACKEND != "jax", reason="The bits are those of JAX on every backend.")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, OURS, PLAIN], ids=["paper", "ours", "plain"])
def test_contexts_are_as_a_plain_loop_defines_them(options):
    env = ProjectedCartPole(num_trials=NUM_TRIALS, trial_steps=TRIAL_STEPS, **options)
    draws = env.draw_bank(NUM_ENVS)
    actions = np.random.default_rng(2).integers(0, 2, (env.max_episode_steps, NUM_ENVS))
    # Pushes to alternate sides let the pole stand longer than random ones.
    actions[:, ::2] = np.arange(len(actions))[:, None] % 2
    actions = actions.astype("int32")
    watch = {"obs": env.observation, "discount": env.discount}
    watch |= {name: lambda state, name=name: env.info(state)[name] for name in WATCHED}
    played = play(env, draws, actions, watch=watch)

    draws, num_falls, num_full = to_numpy(draws), 0, 0
    for i in range(NUM_ENVS):
        row = {name: value[i] for name, value in draws.items()}
        expected = context(row, actions[:, i], env)
        for name, values in expected.items():
            result = played[name][: len(values), i]
            np.testing.assert_allclose(result, np.array(values), rtol=2e-5, atol=2e-5, err_msg=name)
        steps = len(expected["rewards"])
        returns = played["trial_returns"][steps, i]
        num_full += np.sum(returns > 1 - 1e-5)
        num_falls += np.sum(returns < 1 - 1e-5)
    assert num_falls > 5 and num_full > 5, (num_falls, num_full)


@pytest.mark.slow
@on_jax
def test_a_context_has_one_projection_of_haar_distribution_times_the_root_of_2():
    env = ProjectedCartPole(project_actions=True)
    draws = to_numpy(compiled(lambda key: env.draw_initial(key, 1024))(random.key(3)))
    products = np.einsum("nij,nik->njk", draws["projection"], draws["projection"])
    np.testing.assert_allclose(products, 2 * np.broadcast_to(np.eye(2), (1024, 2, 2)), atol=3e-6)
    angle = np.arctan2(draws["projection"][:, 3, 1], draws["projection"][:, 0, 1])
    counts, _ = np.histogram(angle, 16, (-np.pi, np.pi))
    assert chi_square.statistic(counts, 64) < chi_square.limit(15)
    swapped = draws["swapped"].sum()
    assert chi_square.statistic([swapped, 1024 - swapped], 512) < chi_square.limit(1)
    assert np.abs(draws["init_state"]).max() < 0.05 and draws["init_state"].shape == (1024, 4)


@pytest.mark.slow
def test_a_bank_starts_alike_however_many_contexts_are_asked_for():
    env = envs.make("projected_cartpole", same_start=False)
    few, many = to_numpy(env.draw_bank(5)), to_numpy(env.draw_bank(70))
    for name, value in few.items():
        np.testing.assert_array_equal(value, many[name][:5])
        assert len(np.unique(many[name], axis=0)) == 70


def test_a_state_holds_no_tensor_twice():
    draws = {"init_state": np.zeros((2, 4)), "projection": np.zeros((2, 4, 2)), "swapped": [0, 1]}
    state = ProjectedCartPole(project_actions=True).initial(
        {name: ops.convert_to_tensor(value) for name, value in draws.items()}
    )
    leaves = keras.tree.flatten(state)
    assert len({id(leaf) for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_trials": 0}, r"`num_trials` should be a positive integer\. Received: num_trials=0"),
        ({"trial_steps": 2.5}, "`trial_steps` should be a positive integer"),
        (
            {"projected_size": 1},
            "`projected_size` should be at least 2.*Received: projected_size=1",
        ),
        ({"projected_size": 3, "observe_speeds": True}, "`projected_size` should be at least 4"),
    ],
)
def test_wrong_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message):
        ProjectedCartPole(**options)
