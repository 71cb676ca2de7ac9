"""`ControlEngine` against recorded MuJoCo, against Lagrange's equations, and its draws."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.control.engine import ControlEngine
from keras_s5rl.envs.control.tasks import TASKS
from tests.envs.control.lagrangian import Lagrangian
from tests.envs.control.recorded import load, padded_body, slots
from tests.envs.popgym import chi_square
from tests.support.differentiate import BACKEND

NAMES = tuple(TASKS)
ENGINE = ControlEngine(NAMES)
NUM_RECORDED, NUM_RANDOM = 2 * 401, 40
SCALES = ("mass", "length", "gear", "damping")


def tensors(structure):
    return keras.tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype="float32"), structure)


def arrays(structure):
    return keras.tree.map_structure(lambda x: np.array(ops.convert_to_numpy(x)), structure)


def error(values, expected):
    """The largest error, relative to values above 1."""
    return np.max(np.abs(values - expected) / np.maximum(1.0, np.abs(expected)))


@functools.cache
def recorded(name):
    return load(name)


@functools.cache
def random_rows(name):
    """States of a task about its goal and its limits, with controls and factors on the physics."""
    rng = np.random.default_rng(NAMES.index(name))
    num_dofs = 1 + len(TASKS[name].links)
    own = np.isin(np.arange(num_dofs), slots(name))
    start = np.array(TASKS[name].start_half_width)
    if name.startswith(("cartpole", "acrobot", "pendulum")):
        # Half of them nearly upright, where rewards begin and end.
        width = np.where(rng.random((NUM_RANDOM, 1)) < 0.5, 0.15, np.pi)
        start = width * np.ones(num_dofs)
        start[:, 0] = rng.choice([0.5, 2.0], NUM_RANDOM)
    q = 1.05 * start * rng.uniform(-1, 1, (NUM_RANDOM, num_dofs)) * own
    v = rng.normal(size=(NUM_RANDOM, num_dofs)) * rng.choice([0.3, 5], (NUM_RANDOM, 1)) * own
    if name.startswith("point_mass"):
        q[::3] *= 0.05
        v *= 0.1
    for slot in np.flatnonzero(np.isfinite(TASKS[name].limits)):
        beyond = TASKS[name].limits[slot] + rng.uniform(0, 0.002, NUM_RANDOM)
        q[1::4, slot] = (np.sign(q[:, slot]) * beyond)[1::4]
    scales = np.exp(rng.uniform(-0.4, 0.4, (4, NUM_RANDOM)))
    controls = rng.uniform(-1, 1, (2, NUM_RANDOM, 2))
    target, directions = np.zeros((NUM_RANDOM, 2)), np.tile(np.eye(2), (NUM_RANDOM, 1, 1))
    if name.startswith("reacher"):
        # Targets at and around the finger.
        for row in range(NUM_RANDOM):
            chain = Lagrangian(name, length=scales[1, row])
            target[row] = -chain.goal(q[row], np.zeros(2)) + rng.normal(size=2) * 0.03
    if name == "point_mass_hard":
        turn = rng.uniform(0, 2 * np.pi, (NUM_RANDOM, 2))
        directions = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    rows = q, v, target, directions, controls, dict(zip(SCALES, scales, strict=True))
    # The engine's own inputs: next to a limit their rounding is felt.
    return keras.tree.map_structure(lambda x: x.astype("float32").astype("float64"), rows)


@pytest.fixture(scope="module")
def program():
    """The engine of all tasks in one program, compiled for as many rows as `all_rows` has."""

    @backend.compile
    def compute(task, body, control, previous_control, scales):
        constants = ENGINE.constants(task, scales)
        return {
            "body": ENGINE.step(constants, body, control),
            "observation": ENGINE.observation(constants, body),
            "reward": ENGINE.reward(constants, body, previous_control),
            "has_fallen": ENGINE.has_fallen(constants, body),
        }

    return compute


@functools.cache
def all_rows():
    """Tasks, bodies, controls before and after and factors: recorded and random ones by turns."""
    rows = []
    for name in NAMES:
        body, action = padded_body(name, recorded(name), ENGINE.num_dofs)
        flat = {key: value.reshape(-1, *value.shape[2:]) for key, value in body.items()}
        control = np.concatenate([action, action[:, :1]], axis=1).reshape(-1, 2)
        previous = np.concatenate([action[:, :1], action], axis=1).reshape(-1, 2)
        rows.append((flat, control, previous, dict.fromkeys(SCALES, np.ones(len(control)))))
        q, v, target, directions, controls, scales = random_rows(name)
        padding = [(0, 0), (0, ENGINE.num_dofs - q.shape[1])]
        joints = {"qpos": np.pad(q, padding), "qvel": np.pad(v, padding)}
        given = {"target": target, "tendon_coef": directions}
        rows.append(({**joints, **given}, *controls, scales))
    stacked = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *rows)
    task = np.repeat(np.arange(len(NAMES), dtype="int32"), NUM_RECORDED + NUM_RANDOM)
    return ops.convert_to_tensor(task), *tensors(stacked)


@pytest.fixture(scope="module")
def computed(program):
    """What the program computes for the recorded or the random rows of a task."""
    results = arrays(program(*all_rows()))

    def part(name, of_recorded):
        begin = NAMES.index(name) * (NUM_RECORDED + NUM_RANDOM) + (not of_recorded) * NUM_RECORDED
        end = begin + (NUM_RECORDED if of_recorded else NUM_RANDOM)
        return keras.tree.map_structure(lambda x: x[begin:end], results)

    return part


@pytest.mark.parametrize("name", NAMES)
def test_a_step_observation_and_reward_are_mujocos(name, computed):
    data = recorded(name)
    ours = keras.tree.map_structure(
        lambda x: x.reshape(2, 401, *x.shape[1:]), computed(name, of_recorded=True)
    )
    for key in ("qpos", "qvel"):
        after = ours["body"][key][:, :-1]
        assert error(after[..., slots(name)], data[key][:, 1:]) < 4e-6
        others = np.delete(after, slots(name), axis=-1)
        np.testing.assert_array_equal(others, np.zeros_like(others))
    size = data["obs"].shape[-1]
    assert error(ours["observation"][..., :size], data["obs"]) < 4e-6
    np.testing.assert_array_equal(ours["observation"][..., size:], 0.0)
    assert error(ours["reward"][:, 1:], data["reward"]) < 1e-6


def test_the_records_hold_limits_and_rewards():
    beyond = {name: np.abs(recorded(name)["qpos"]).max(axis=(0, 1)) for name in NAMES}
    assert beyond["cartpole_three_poles"][0] > 1.8 and beyond["cartpole_balance"][0] > 1.8
    assert beyond["reacher_hard"][1] > math.radians(160)
    assert beyond["point_mass_hard"][0] > 0.29
    for name in ("pendulum_swingup", "reacher_easy", "cartpole_balance_sparse"):
        assert set(recorded(name)["reward"].ravel()) == {0.0, 1.0}


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("name", NAMES)
def test_scaled_physics_obeys_lagranges_equations(name, computed):
    """Masses, lengths, gears and damping anywhere, states at limits and goals among them."""
    ours = computed(name, of_recorded=False)
    num_dofs, size = 1 + len(TASKS[name].links), len(TASKS[name].observation)
    # A step of the light reacher against its limit is a difference of much larger terms.
    bound = 1e-4 if name.startswith("reacher") else 5e-6
    rewards = []
    q, v, target, directions, (control, previous), scales = random_rows(name)
    for row in range(NUM_RANDOM):
        chain = Lagrangian(name, **{key: factors[row] for key, factors in scales.items()})
        after = chain.step(q[row], v[row], directions[row], control[row])
        for key, expected in zip(("qpos", "qvel"), after, strict=True):
            assert error(ours["body"][key][row, :num_dofs], expected) < bound
        observation = chain.observation(q[row], v[row], target[row])
        assert error(ours["observation"][row, :size], observation) < 1e-6
        rewards.append(chain.reward(q[row], v[row], target[row], previous[row]))
        fell = "balance" in name and np.cos(q[row, 1]) < np.cos(0.25)
        assert ours["has_fallen"][row] == fell
    np.testing.assert_allclose(ours["reward"], rewards, atol=2e-6)
    assert max(rewards) > 0.5 > min(rewards)


@pytest.mark.slow
def test_factors_of_one_change_nothing():
    task = ops.convert_to_tensor(np.arange(len(NAMES), dtype="int32"))
    ones = {name: ops.ones((len(NAMES),)) for name in SCALES}
    plain, scaled = arrays(ENGINE.constants(task)), arrays(ENGINE.constants(task, ones))
    assert set(plain) == set(scaled)
    for name, values in plain.items():
        np.testing.assert_array_equal(scaled[name], values)


@pytest.mark.slow
def test_a_hundred_steps_stay_with_mujoco(program):
    task, body, control, previous, scales = all_rows()
    control = np.array(ops.convert_to_numpy(control))
    # The recorded rows of a task begin with its first episode, 401 states, and go on with its
    # second. The first state of each goes its own way under the recorded actions.
    firsts = {
        name: index * (NUM_RECORDED + NUM_RANDOM) + np.array([0, 401])
        for index, name in enumerate(NAMES)
    }
    for time in range(100):
        for name, rows in firsts.items():
            action = recorded(name)["action"][:, time]
            control[rows, : action.shape[1]] = action
        body = program(task, body, tensors(control.copy()), previous, scales)["body"]
    after = arrays(body)
    for name, rows in firsts.items():
        for key in ("qpos", "qvel"):
            ours = after[key][rows][:, slots(name)]
            assert error(ours, recorded(name)[key][:, 100]) < 2e-5, name


UP, DOWN = 0.0, math.pi
WRIST = math.radians(160)
# By slot: a pair of centre and half width (uniform) or of centre and deviation (normal).
UNIFORM_STARTS = {
    "pendulum_swingup": {1: (0, math.pi)},
    "acrobot_swingup_sparse": {1: (0, math.pi), 2: (0, math.pi)},
    "cartpole_balance": {0: (0, 0.1), 1: (UP, 0.034)},
    "reacher_hard": {1: (0, math.pi), 2: (0, WRIST)},
    "point_mass_easy": {0: (0, 0.29), 1: (0, 0.29)},
}
NORMAL_STARTS = {
    "cartpole_swingup": {0: (0, 0.01), 1: (DOWN, 0.01)},
    "cartpole_three_poles": {0: (0, 0.01), 1: (DOWN, 0.01), 2: (0, 0.1), 3: (0, 0.1)},
}
MOVING_STARTS = ("cartpole_balance", *NORMAL_STARTS)


@pytest.fixture(scope="module")
def starts():
    """20,000 starts of each task in two trials, by name."""
    num = 10_000
    task = np.repeat(np.arange(len(NAMES), dtype="int32"), num)

    def draw(key, task):
        return ENGINE.draw_starts(key, task, num_trials=2)

    draw = backend.compile(draw) if BACKEND == "jax" else draw  # faster so
    drawn = arrays(draw(random.key(5), ops.convert_to_tensor(task)))
    return {
        name: {key: value[index * num : (index + 1) * num] for key, value in drawn.items()}
        for index, name in enumerate(NAMES)
    }


def assert_uniform(values, low, high):
    """Values of any shape are uniform on an interval."""
    assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6
    counts, _ = np.histogram(values, bins=50, range=(low, high))
    assert chi_square.statistic(counts, values.size / 50) < chi_square.limit(49)


def assert_normal(values, center, deviation):
    cumulative = np.array(list(map(math.erf, (values.ravel() - center) / deviation / 2**0.5)))
    assert_uniform(cumulative, -1.0, 1.0)


def test_tasks_start_where_dmcs_do(starts):
    for name, drawn in starts.items():
        joints = slots(name)
        np.testing.assert_array_equal(np.delete(drawn["qpos"], joints, axis=-1), 0.0)
        if not name.startswith("cartpole"):
            np.testing.assert_array_equal(drawn["qvel"], 0.0)
    for name, joints in UNIFORM_STARTS.items():
        for slot, (center, width) in joints.items():
            assert_uniform(starts[name]["qpos"][..., slot], center - width, center + width)
    for name, joints in NORMAL_STARTS.items():
        for slot, (center, deviation) in joints.items():
            assert_normal(starts[name]["qpos"][..., slot].astype(float), center, deviation)
    for name in MOVING_STARTS:
        for slot in slots(name):
            assert_normal(starts[name]["qvel"][..., slot].astype(float), 0.0, 0.01)


def test_targets_lie_in_a_ring_of_uniform_radius(starts):
    for name, drawn in starts.items():
        x, y = np.moveaxis(drawn["target"], -1, 0)
        if name.startswith("reacher"):
            assert_uniform(np.hypot(x, y), 0.05, 0.20)
            assert_uniform(np.arctan2(x, y), -math.pi, math.pi)
        else:
            np.testing.assert_array_equal(drawn["target"], 0.0)


def test_controls_of_the_hard_point_mass_act_in_directions_that_are_not_too_parallel(starts):
    for name in set(NAMES) - {"point_mass_hard"}:
        plain = starts[name]["tendon_coef"]
        np.testing.assert_array_equal(plain, np.broadcast_to(np.eye(2), plain.shape))
    first, second = np.moveaxis(starts["point_mass_hard"]["tendon_coef"], 2, 0)
    np.testing.assert_allclose(np.sum(first**2, axis=-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.sum(second**2, axis=-1), 1.0, rtol=1e-6)
    for direction in (first, second):
        assert_uniform(np.arctan2(direction[..., 1], direction[..., 0]), -math.pi, math.pi)

    def turns(first, second):
        cross = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
        angle = np.arctan2(cross, np.sum(first * second, axis=-1))
        return np.histogram(angle, bins=40, range=(-math.pi, math.pi))[0]

    # DMC's own way: both normal, the second anew while it is too parallel.
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(2, 60_000, 2))
    pairs /= np.linalg.norm(pairs, axis=-1, keepdims=True)
    pairs = pairs[:, np.abs(np.sum(pairs[0] * pairs[1], axis=-1)) <= 0.9]
    statistic, limit = chi_square.two_samples(turns(first, second), turns(*pairs))
    assert statistic < limit


def test_trials_start_independently(starts):
    first, second = starts["pendulum_swingup"]["qpos"][..., 1].T
    counts, _, _ = np.histogram2d(first, second, bins=8)
    assert chi_square.statistic(counts, counts.sum() / 64) < chi_square.limit(63)


def test_unknown_tasks_are_named():
    with pytest.raises(ValueError, match=r"`tasks` should be .*cartpole_swingup.*Received: tasks="):
        ControlEngine(("cartpole_swing",))
    with pytest.raises(ValueError, match=r"at least one"):
        ControlEngine(())
