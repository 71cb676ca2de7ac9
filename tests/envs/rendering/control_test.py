"""Pictures and texts of the control tasks, against what MuJoCo observed in the same states."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_s5rl import envs
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.rendering import render, renderer_for
from keras_s5rl.envs.rendering.canvas import BLUE, GOLD, INK, RED, ImageColor
from keras_s5rl.envs.rendering.control_bodies import Body, body_points

GOLDEN = Path(__file__).parents[1] / "control" / "golden"
COLORS = (BLUE, GOLD, RED, INK)

# Joints that lean to the right and upwards, and the colour of what is there then.
LEANING = {
    "pendulum_swingup": ([0.6], RED),
    "cartpole_balance_sparse": ([0.0, 0.6], GOLD),
    "cartpole_three_poles": ([0.0, 0.6, 0.1, 0.1], GOLD),
    "acrobot_swingup": ([0.5, 0.3], GOLD),
    "reacher_hard": ([0.7, 0.2], RED),
    "point_mass_easy": ([0.2, 0.15], RED),
}


def recorded(task):
    """Yields states of `ControlTaskEnv` as recorded, and MuJoCo's observation in them."""
    data = np.load(GOLDEN / f"{task}.npz")
    for time in np.linspace(0, data["obs"].shape[1] - 1, 6).astype(int):
        state = {name: data[name][0, time] for name in ("qpos", "qvel")}
        if "target" in data:
            state["target"] = data["target"][0]
        yield {**state, "time": time}, data["obs"][0, time]


def state_of(task, qpos, tendon_coef=None):
    qpos = np.array(qpos, "float32")
    state = {"qpos": qpos, "qvel": np.zeros_like(qpos), "time": np.int32(7)}
    if task.startswith("reacher"):
        state["target"] = np.array([-0.1, -0.1], "float32")
    if tendon_coef is not None:
        state["tendon_coef"] = np.array(tendon_coef, "float32")
    return state


def observed_points(task, state, observation):
    """Returns what `body_points` should be, from MuJoCo's observation."""
    if task.startswith("point_mass"):
        return observation[None, :2]
    if task.startswith("reacher"):
        elbow = 0.12 * np.array([np.cos(observation[0]), np.sin(observation[0])])
        return np.stack([np.zeros(2), elbow, state["target"] - observation[2:4]])
    start, length = 0.0, 1.0
    if task.startswith("acrobot"):
        sines, cosines = observation[:2], observation[2:4]
    elif task.startswith("pendulum"):
        sines, cosines, length = observation[1:2], observation[:1], 0.5
    else:
        cosines, sines = observation[1 : 2 * len(state["qpos"]) - 1].reshape(-1, 2).T
        start = observation[0]
    links = length * np.stack([sines, cosines], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(links, axis=0)]) + [start, 0.0]


def signed(line):
    return [float(number) for number in re.findall(r"[-+][\d.]+", line)]


def picture(env, state, *last_step):
    return render(env, state, "rgb_array", *last_step)


def middle_of(is_shown):
    """Returns the middle of a part of a picture: pixels to the right and upwards."""
    rows, columns = np.nonzero(is_shown)
    return np.array([columns.mean(), -rows.mean()])


def has_color(shown, color):
    return np.abs(shown.astype(int) - ImageColor.getrgb(color)).sum(axis=2) < 12


def changed(shown, other):
    return np.any(shown[80:-40] != other[80:-40], axis=2)  # without the words


@pytest.mark.parametrize("task", TASKS)
def test_bodies_stand_where_mujoco_has_them(task):
    for state, observation in recorded(task):
        body = Body(task, state["qpos"], state["qvel"], state.get("target"))
        expected = observed_points(task, state, observation)
        np.testing.assert_allclose(body_points(body), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("task", TASKS)
def test_texts_show_what_mujoco_observes(task):
    env = envs.make(task)
    for state, observation in recorded(task):
        title, positions, speeds = render(env, state, "ansi").split("\n")
        assert title == f"{task}  step {state['time']} of 1000"
        shown, shown_speeds = signed(positions), signed(speeds)
        points, turning = observed_points(task, state, observation), state["qvel"]
        if task.startswith(("acrobot", "reacher", "point_mass")):
            goal = (0, 2) if task.startswith("acrobot") else state.get("target", (0, 0))
            distance, unit = re.search(r"([\d.]+) (c?m) from target", positions).groups()
            distance = float(distance) / (100 if unit == "cm" else 1)
            assert abs(distance - np.hypot(*(points[-1] - goal))) < 6e-3
        if task.startswith("point_mass"):
            np.testing.assert_allclose(shown, 100 * observation[:2], rtol=0, atol=0.06)
            np.testing.assert_allclose(shown_speeds, 100 * turning, rtol=0, atol=0.06)
            continue
        if task.startswith("cartpole"):
            assert abs(shown.pop(0) - observation[0]) < 6e-3
            assert abs(shown_speeds.pop(0) - turning[0]) < 6e-3
            turning = turning[1:]
        if task.startswith("reacher"):
            angles = observation[:2]
        else:
            angles, turning = np.arctan2(*np.diff(points, axis=0).T), np.cumsum(turning)
        off = np.exp(1j * np.radians(shown)) - np.exp(1j * angles)
        assert np.all(np.abs(off) < 1e-3) and np.all(np.abs(shown) <= 180)
        np.testing.assert_allclose(shown_speeds, np.degrees(turning), rtol=0, atol=0.6)


@pytest.mark.parametrize("task", LEANING)
def test_what_leans_to_the_right_is_drawn_there(task):
    env, (qpos, color) = envs.make(task), LEANING[task]
    middle = (230, -212)  # of the base, the track or the table
    side, up = middle_of(has_color(picture(env, state_of(task, qpos)), color)) - middle
    assert side > 10 and up > 10
    mirrored = -np.array(qpos)
    if task.startswith("reacher"):
        mirrored[0] += np.pi
    elif task.startswith("point_mass"):
        mirrored[1] = qpos[1]
    other_side, other_up = middle_of(has_color(picture(env, state_of(task, mirrored)), color))
    np.testing.assert_allclose([other_side - 230, other_up + 212], [-side, up], atol=1.5)


def test_arrows_show_which_way_a_control_pushes():
    cart, ball = envs.make("cartpole_swingup"), envs.make("point_mass_hard")
    for control in (-1.0, 0.4):
        state = state_of("cartpole_swingup", [0.5, np.pi])
        plain = picture(cart, state)
        arrow = changed(plain, picture(cart, state, np.array([control], "float32")))
        is_cart = has_color(plain, BLUE)[80:-40]
        assert np.sign(middle_of(arrow) - middle_of(is_cart))[0] == np.sign(control)
    weak, strong = (
        changed(plain, picture(cart, state, np.array([control], "float32"))).sum()
        for control in (0.3, 0.9)
    )
    assert weak < strong
    assert not changed(plain, picture(cart, state, np.zeros(1, "float32"))).any()

    # Each control pushes along its own row.
    state = state_of("point_mass_hard", [0.1, -0.1], [[0.0, 1.0], [-0.6, 0.8]])
    plain, direction = picture(ball, state), np.array([-0.6, 1.8])
    arrow = changed(plain, picture(ball, state, np.ones(2, "float32")))
    side, up = middle_of(arrow) - middle_of(has_color(plain, RED)[80:-40])
    assert abs(np.arctan2(up, side) - np.arctan2(*direction[::-1])) < 0.1


# Task, control, and to which side the arrow turns from where it starts, above the joint.
@pytest.mark.parametrize(
    ("task", "control", "side"),
    [
        ("pendulum_swingup", [0.5], 1),  # clockwise, as MuJoCo's angles in an upright plane
        ("pendulum_swingup", [-0.5], -1),
        ("acrobot_swingup", [0.5], 1),
        ("reacher_easy", [0.5, 0.0], -1),  # counterclockwise, as those on the table
        ("reacher_easy", [0.0, -0.5], 1),
    ],
)
def test_arrows_turn_as_the_control_does(task, control, side):
    env, state = envs.make(task), state_of(task, np.zeros(len(TASKS[task].links)))
    shown = picture(env, state, np.array(control, "float32"))
    rows, columns = np.nonzero(changed(picture(env, state), shown))
    assert np.sign(columns.mean() - columns[rows == rows.min()].mean()) == side


@pytest.mark.parametrize("task", TASKS)
def test_pictures_keep_their_size_and_their_margins_wherever_the_body_is(task):
    env, limit = envs.make(task), TASKS[task].limits[0]
    for side in (-1, 1):
        for angle in (0.0, 0.5 * np.pi, np.pi):
            if task.startswith("cartpole"):
                qpos = [side * limit, side * angle] + [0.0] * (len(TASKS[task].links) - 1)
            elif task.startswith("point_mass"):
                qpos = [side * limit, limit if angle else -limit]
            else:
                qpos = [side * angle] + [0.0] * (len(TASKS[task].links) - 1)
            control = np.full(env.action_space.shape, side, "float32")
            shown = picture(env, state_of(task, qpos), control)
            edges = [shown[:3], shown[36:42], shown[-40:-34], shown[-3:]]  # 42: head, 38: foot
            edges += [shown[:, :3], shown[:, -3:]]
            if (side, angle) == (-1, 0.0):
                first, margins = shown, edges
            else:
                assert shown.shape == first.shape and not np.array_equal(shown, first)
            assert all(np.array_equal(*pair) for pair in zip(edges, margins, strict=True))
            assert not any(has_color(edge, color).any() for edge in edges for color in COLORS)


def test_every_number_of_a_state_is_to_be_seen():
    for task in ("cartpole_two_poles", "acrobot_swingup", "reacher_hard", "point_mass_hard"):
        env, (state, _) = envs.make(task), next(recorded(task))
        before = picture(env, state)
        for part in ("qpos", "qvel", "target"):
            for place in range(len(state.get(part, []))):
                values = state[part].copy()
                values[place] = 0.5 * values[place] + 0.1
                after = picture(env, {**state, part: values})
                assert not np.array_equal(after, before), (task, part, place)


def test_actions_are_shown_as_they_act():
    env, action = envs.make("point_mass_easy"), np.array([3.0, -0.25], "float32")
    shown = render(env, state_of("point_mass_easy", [0, 0]), "ansi", action, 0.5, 1.25)
    assert shown.split("\n")[-1] == "action control +1.00 -0.25  reward +0.5000  return +1.2500"


def test_an_animation_runs_as_fast_as_the_clock():
    for task, action_repeat, seconds in (
        ("cartpole_swingup", 1, 0.01),
        ("cartpole_swingup", 4, 0.04),
        ("reacher_easy", 2, 0.04),
    ):
        env = envs.make(task, action_repeat=action_repeat)
        assert renderer_for(env).duration(env) == pytest.approx(seconds)
    pendulum = envs.make("PositionOnlyPendulumEasy")
    assert renderer_for(pendulum).duration(pendulum) == 0.05
