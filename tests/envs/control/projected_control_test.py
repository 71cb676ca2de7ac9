import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.control import engine as engine_module
from keras_s5rl.envs.control.engine import ControlEngine
from keras_s5rl.envs.control.projected_control import ProjectedControl
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.control.tiers import NEW_TASKS, TRAIN_TASKS, draw_scales
from tests.envs.control.toy_engine import PAIR, ToyEngine
from tests.envs.play import play
from tests.envs.popgym import chi_square
from tests.support.differentiate import BACKEND, compiled

STARTS = ("qpos", "qvel", "target", "tendon_coef")
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="The bits are those of JAX on every backend.")
# One program is quicker than its operations one by one on JAX alone.
compiled_on_jax = compiled if BACKEND == "jax" else lambda function: function


def to_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def to_tensors(structure):
    return keras.tree.map_structure(ops.convert_to_tensor, structure)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(engine_module, "ControlEngine", ToyEngine)


def scaled(task, native, minimal):
    """What is projected, in the words of the documentation."""
    if task == "reacher_easy":
        angle = (native[0] + np.pi) % (2 * np.pi) - np.pi
        return np.array([angle / np.pi, native[1] / np.pi, *(5 * native[2:4]), *(native[4:6] / 5)])
    x, cos, sin, x_speed, speed = native[:5]
    entries = [x, cos - 1, sin / 0.3, x_speed / 2, speed / 2]
    return np.array(entries[:1] + entries[2:] if minimal else entries)


def context(env, draws, actions, repeats, minimal):
    """One context of `ToyEngine` by the definition, as a dict of lists over time."""
    task = env.tasks[draws["task"]]
    num_controls = {"reacher_easy": 2, "cartpole_balance": 1}[task]
    gain = np.sqrt(num_controls) * draws.get("action_projection", np.eye(2)).T
    if not env.project_actions:
        gain = np.eye(2)
    push = (0.3 + 0.1 * draws["task"]) * draws.get("gear", 1.0)
    matrix = draws.get("observation_projection", np.eye(env.projected_size))
    seen = {name: [] for name in ("obs", "trial", "trial_step", "trial_returns", "discount")}
    seen |= {"rewards": [], "terminated": [], "truncated": []}

    def look(discount, reward):
        a, b = q
        native = np.array([5 * a, np.cos(a), np.sin(b), b, a, a * b])
        entries = scaled(task, native, minimal)
        projected = matrix[:, : len(entries)] @ entries
        seen["obs"].append([*projected, reward * env.observe_reward, float(step == 0)])
        seen["trial"].append(trial)
        seen["trial_step"].append(step)
        seen["trial_returns"].append(returns.copy())
        seen["discount"].append(discount)

    trial, step, returns, q = 0, 0, np.zeros(env.num_trials), draws["qpos"][0]
    look(1.0, 0.0)
    for action in actions:
        control = np.clip(gain @ action, -1, 1)
        reward = 0.0
        for _ in range(repeats[task]):
            q = q + push * control
            reward += 1 / (1 + np.sum(q**2) + control[0] ** 2) / repeats[task]
        fallen = env.end_on_fall and task == "cartpole_balance" and abs(q[0]) > 1.5
        returns[trial] += reward
        step += 1
        if fallen or step == env.trial_steps:
            trial, step = trial + 1, 0
            q = draws["qpos"][min(trial, env.num_trials - 1)]
        seen["rewards"].append(reward)
        seen["terminated"].append(False)
        seen["truncated"].append(trial == env.num_trials)
        look(1.0 - fallen, reward)
        if trial == env.num_trials:
            return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "repeats"),
    [
        ({"strength": "mixed"}, {"reacher_easy": 2, "cartpole_balance": 4}),
        (
            {
                **{"end_on_fall": True, "observations": "minimal", "observe_reward": False},
                **{"project_actions": False, "action_repeat": 1, "physics_range": 0.3},
                **{"projection": "gaussian"},
            },
            {"reacher_easy": 1, "cartpole_balance": 1},
        ),
        (
            {"projection": "identity", "tier": "T3", "action_repeat": {"cartpole_balance": 2}},
            {"reacher_easy": 2, "cartpole_balance": 2},
        ),
    ],
    ids=["paper", "falls", "plain"],
)
def test_contexts_are_as_a_plain_loop_defines_them(toy, options, repeats):
    env = ProjectedControl(PAIR, num_trials=3, trial_steps=7, projected_size=8, **options)
    draws = env.draw_bank(10)
    actions = np.random.default_rng(2).uniform(-1, 1, (env.max_episode_steps, 10, 2))
    actions = (actions * 0.5 + 0.5 * np.sign(actions[:1])).astype("float32")
    watch = {"obs": env.observation, "discount": env.discount}
    for name in ("trial", "trial_step", "trial_returns"):
        watch[name] = lambda state, name=name: env.info(state)[name]
    played = play(env, draws, actions, watch=watch)

    draws, num_falls = to_numpy(draws), 0
    assert set(draws["task"]) == {0, 1}
    for i in range(10):
        row = {name: value[i] for name, value in draws.items()}
        minimal = options.get("observations") == "minimal"
        expected = context(env, row, actions[:, i], repeats, minimal)
        for name, values in expected.items():
            result = played[name][: len(values), i]
            np.testing.assert_allclose(result, np.array(values), rtol=1e-4, atol=2e-5, err_msg=name)
        num_falls += np.sum(np.array(expected["discount"]) == 0)
    assert (num_falls > 3) == env.end_on_fall


@pytest.mark.slow
def test_decisions_are_control_steps_of_the_engine():
    tasks, num_envs = ("reacher_easy", "point_mass_easy"), 12
    env = ProjectedControl(tasks, num_trials=2, trial_steps=4, physics_range=0.2)
    draws = env.draw_bank(num_envs)
    actions = np.random.default_rng(3).uniform(-1, 1, (5, num_envs, 2)).astype("float32")
    played = play(env, draws, actions, watch={"body": lambda state: state["body"]})
    draws = to_numpy(draws)
    rows = np.float32(np.sqrt(2)) * np.swapaxes(draws["action_projection"], 1, 2)
    repeats = np.array([2, 4])[draws["task"]]
    assert len(set(repeats)) == 2

    engine = ControlEngine(tasks)
    scales = {name: draws[name] for name in ("mass", "length", "gear", "damping")}
    constants = engine.constants(*to_tensors((draws["task"], scales)))

    @compiled_on_jax
    def advance(body, control):
        body = engine.step(constants, body, control)
        return body, engine.reward(constants, body, control)

    body = {name: draws[name][:, 0] for name in STARTS}
    for t, action in enumerate(actions):
        control = np.clip(np.einsum("nij,nj->ni", rows, action), -1, 1)
        total = np.zeros(num_envs)
        for number in range(4):
            after, reward = to_numpy(advance(*to_tensors((body, control))))
            goes_on = number < repeats
            for name, value in body.items():
                value[goes_on] = after[name][goes_on]
            total[goes_on] += reward[goes_on]
        np.testing.assert_allclose(played["rewards"][t], total / repeats, atol=1e-5)
        if t == 3:
            body = {name: draws[name][:, 1].copy() for name in STARTS}
        for name, value in body.items():
            np.testing.assert_allclose(played["body"][name][t + 1], value, atol=1e-5, err_msg=name)


def start(env, draws):
    """The state and the observation at the start, as numpy arrays."""

    @compiled_on_jax
    def program(draws):
        state = env.initial(draws)
        leaves = keras.tree.flatten(state)
        # Its buffers are given away in a step, which each can be only once.
        assert len({id(leaf) for leaf in leaves}) == len(leaves)
        return state, env.observation(state)

    return to_numpy(program(to_tensors(draws)))


@functools.cache
def all_tasks():
    """Contexts of every task: the environment, draws, state and observation at the start."""
    env = ProjectedControl(tuple(TASKS), num_trials=2)
    draws = to_numpy(env.draw_bank(64))
    assert set(draws["task"]) == set(range(len(TASKS)))
    return env, draws, *start(env, draws)


@pytest.mark.slow
def test_a_task_looks_the_same_whichever_others_there_are():
    env, draws, _, observation = all_tasks()
    rows = draws["task"] == env.tasks.index("cartpole_balance")
    alone = ProjectedControl(("cartpole_balance",), num_trials=2)
    own = {name: value[rows] for name, value in draws.items()}
    own |= {
        "task": np.zeros(rows.sum(), "int32"),
        "observation_projection": own["observation_projection"][:, :, :5],
        "qpos": own["qpos"][:, :, :2],
        "qvel": own["qvel"][:, :, :2],
    }
    np.testing.assert_allclose(start(alone, own)[1], observation[rows], atol=1e-6)


@pytest.mark.slow
def test_every_control_is_reached_by_an_action():
    env, draws, state, _ = all_tasks()
    generator = np.random.default_rng(4)
    for task, matrix in zip(draws["task"], state["controls"], strict=True):
        name = env.tasks[task]
        size = 2 if name.startswith(("reacher", "point_mass")) else 1
        rows = matrix[:size]
        np.testing.assert_allclose(rows @ rows.T, size * np.eye(size), atol=1e-5)
        corners = np.sign(generator.normal(size=(8, size)))
        controls = np.concatenate([corners, generator.uniform(-1, 1, (8, size))])
        actions = controls @ rows / size
        assert np.abs(actions).max() < 1 + 1e-6
        np.testing.assert_allclose(np.clip(actions @ rows.T, -1, 1), controls, atol=1e-5)


@pytest.mark.reference
def test_tasks_with_contacts_are_stepped_by_mujoco():
    pytest.importorskip("dm_control", reason="This needs the extra mujoco.")
    tasks = ("finger_spin", "cartpole_balance")
    env = ProjectedControl(tasks, num_trials=2, trial_steps=2, engine="mujoco")
    draws = env.draw_bank(12)
    actions = np.random.default_rng(7).uniform(-1, 1, (3, 12, 2)).astype("float32")
    state = env.initial(draws)
    for action in actions:
        state, reward, *_ = env.transition(state, ops.convert_to_tensor(action), {})
    draws, state, observation = to_numpy((draws, state, env.observation(state)))
    assert set(draws["task"]) == {0, 1} and set(state["trial"]) == {1}
    np.testing.assert_array_equal(observation[:, 12], to_numpy(reward))
    native = state["body"]["outcome"][:, :-1]
    scales = np.array([2, 1.5, 0.1, 0.1, 7, 4, 4, 1, 1])
    for i, matrix in enumerate(draws["observation_projection"]):
        task = tasks[draws["task"][i]]
        entries = native[i] / scales if task == "finger_spin" else scaled(task, native[i], False)
        expected = matrix[:, : len(entries)] @ entries
        np.testing.assert_allclose(observation[i, :12], expected, atol=1e-5)


@on_jax
def test_tasks_are_drawn_in_proportion_to_their_weights(toy):
    options = ({}, {"task_weights": {"cartpole_balance": 3.0}})
    plain, weighted = (ProjectedControl(PAIR, projection="identity", **each) for each in options)

    @compiled
    def program(key):
        return [env.draw_initial(key, 900)["task"] for env in (plain, weighted)]

    for drawn, counts in zip(program(random.key(5)), ([450, 450], [225, 675]), strict=True):
        found = np.bincount(to_numpy(drawn), minlength=2)
        assert chi_square.statistic(found, counts) < chi_square.limit(1)


@on_jax
def test_mixed_strength_is_1_in_a_third_of_the_contexts(toy):
    mixed, full = (
        ProjectedControl(PAIR, projection="identity", strength=strength)
        for strength in ("mixed", 1.0)
    )

    @compiled
    def program(key):
        return [env.draw_initial(key, 900)["action_projection"] for env in (mixed, full)]

    mixed, full = to_numpy(program(random.key(5)))
    equal = np.sum(np.all(mixed == full, axis=(1, 2)))
    assert chi_square.statistic([equal, 900 - equal], [300, 600]) < chi_square.limit(1)


@pytest.mark.slow_after(1)
@on_jax
@pytest.mark.parametrize(("least", "largest"), [(0.0, 0.3), (0.3, 0.6)])
def test_physics_are_scaled_up_or_down_alike_and_independently(least, largest):
    scales = to_numpy(draw_scales(random.key(6), 4000, least, largest))
    assert set(scales) == {"mass", "length", "gear", "damping"}
    logarithms = np.log(np.stack(list(scales.values())))
    limits = np.log1p([least, largest])
    for row in logarithms:
        edges = np.concatenate([-np.linspace(*limits, 9)[::-1], np.linspace(*limits, 9)])
        counts, _ = np.histogram(row, np.unique(edges))
        counts = np.delete(counts, 8) if least else counts
        assert counts.sum() == 4000
        assert chi_square.statistic(counts, 250) < chi_square.limit(15)
    assert np.abs(np.corrcoef(logarithms) - np.eye(4)).max() < 0.07


def test_a_tier_has_its_tasks():
    assert envs.make("projected_control").tasks == TRAIN_TASKS
    assert envs.make("projected_control", tier="T2").tasks == NEW_TASKS
    assert not set(TRAIN_TASKS) & set(NEW_TASKS)


@pytest.mark.slow
@on_jax
def test_a_tier_has_its_physics_and_a_bank_of_its_own(toy):
    options = {"projection": "identity", "project_actions": False}
    banks = {
        tier: to_numpy(ProjectedControl(PAIR, tier=tier, **options).draw_bank(66))
        for tier in ("train", "T1", "T3")
    }
    starts = np.concatenate([bank["qpos"][:, 0] for bank in banks.values()])
    assert len(np.unique(starts, axis=0)) == 3 * 66
    assert "mass" not in banks["T1"]
    factors = np.exp(np.abs(np.log(banks["T3"]["mass"])))
    assert factors.min() >= 1.3 - 1e-6 and factors.max() <= 1.6 + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tier": "T4"}, "`tier` should be one of train, T1, T2, T3. Received: tier='T4'"),
        ({"projection": "none"}, "`projection` should be one of haar, gaussian, identity"),
        ({"observations": "all"}, "`observations` should be one of native, minimal"),
        ({"num_trials": 0}, "`num_trials` should be a positive integer"),
        ({"trial_steps": 0}, "`trial_steps` should be a positive integer"),
        ({"projected_size": 0}, "`projected_size` should be a positive integer"),
        ({"projected_size": 5}, "`projected_size` should be at least 6.* of reacher_easy.*size=5"),
        ({"strength": 1.5}, 'from 0 to 1.0 or "mixed". Received: strength=1.5'),
        ({"strength": "half"}, "`strength` should be a number from 0 to 1.0"),
        ({"physics_range": 0.5}, "`physics_range` should be a number from 0 to 0.3.*=0.5"),
        ({"action_repeat": 0}, "`action_repeat` should be a positive integer"),
        (
            {"action_repeat": {"pendulum": 2}},
            "`action_repeat` .* control tasks, .*; pendulum are none",
        ),
        (
            {"task_weights": {"pendulum": 2}},
            "`task_weights` .* control tasks, .*; pendulum are none",
        ),
        ({"task_weights": [1, 2]}, "`task_weights` should be a dict"),
        ({"task_weights": {"reacher_easy": 0}}, "`task_weights` should hold positive numbers"),
        ({"engine": "brax"}, "`engine` should be one of native, mujoco, mjx"),
        ({"engine": "mujoco", "tier": "T3"}, '`engine` should be "native" where the physics vary'),
        ({"tasks": ("cartpole",)}, "`tasks` should be .*pendulum_swingup.*'cartpole'"),
        ({"tasks": "reacher_easy"}, "`tasks` should be .*tasks='reacher_easy'"),
    ],
)
def test_wrong_arguments_raise(options, message):
    with pytest.raises(ValueError, match=message):
        ProjectedControl(**options)
