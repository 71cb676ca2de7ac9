"""The engine beside dm_control itself, 1,000 steps a task, and beside MuJoCo models that were
changed as `scales` says; where dm_control is installed."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.envs.control.engine import ControlEngine
from keras_s5rl.envs.control.tasks import TASKS
from tests.envs.control.recorded import padded, slots

pytestmark = pytest.mark.reference

mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed.")
suite = pytest.importorskip("dm_control.suite", reason="dm_control is not installed.")

NAMES = tuple(TASKS)
ENGINE = ControlEngine(NAMES)
NUM_STEPS = 1000


def change(physics, task, mass, length, gear, damping):
    """Changes a compiled model as `ControlEngine.constants(scales=...)` changes the physics."""
    model = physics.model.ptr
    length = 1.0 if task.startswith("point_mass") else length
    model.body_mass[:] *= mass
    model.body_inertia[:] *= mass * length**2
    model.body_ipos[:] *= length
    chain = model.body_parentid > (1 if TASKS[task].slider_mass else 0)
    model.body_pos[chain] *= length
    if task.startswith("acrobot"):
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "tip")
        model.site_pos[site] *= length
        target = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, "target")
        model.site_pos[target, 2] = 2.0 + 2.0 * length
    model.actuator_gear[:] *= gear
    model.dof_damping[:] *= damping
    mujoco.mj_setConst(model, physics.data.ptr)


def play(task, seed, scales):
    """An episode under actions that are held for a while, many of them at their bounds."""
    domain, _, rest = task.partition("_")
    if task.startswith("point_mass"):
        domain, rest = "point_mass", task.removeprefix("point_mass_")
    env = suite.load(domain, rest, task_kwargs={"random": seed})
    if scales is not None:
        change(env.physics, task, **scales)
    rng = np.random.default_rng(seed)
    time_step = env.reset()
    rows = {"qpos": [], "qvel": [], "obs": [], "reward": [], "action": []}
    for step in range(NUM_STEPS):
        if step % 20 == 0:
            action = np.clip(rng.normal(size=env.action_spec().shape) * 1.5, -1, 1)
        rows["action"].append(action)
        for last in (False, True):
            if last:
                time_step = env.step(action)
                rows["reward"].append(time_step.reward)
            if not last or step == NUM_STEPS - 1:
                rows["qpos"].append(env.physics.data.qpos.copy())
                rows["qvel"].append(env.physics.data.qvel.copy())
                values = [np.ravel(value) for value in time_step.observation.values()]
                rows["obs"].append(np.concatenate(values))
    rows = {key: np.array(values) for key, values in rows.items()}
    model = env.physics.model
    reacher = task.startswith("reacher")
    rows["target"] = env.physics.named.model.geom_pos["target", :2] if reacher else np.zeros(2)
    is_hard = task == "point_mass_hard"
    rows["directions"] = np.reshape(model.wrap_prm, (2, 2)) if is_hard else np.eye(2)
    return rows


@pytest.mark.parametrize("is_scaled", [False, True])
def test_every_step_of_every_task_is_mujocos(is_scaled):
    rng = np.random.default_rng(7)
    episodes, factors = {}, {}
    for index, task in enumerate(NAMES):
        names = ("mass", "length", "gear", "damping")
        factors[task] = dict(zip(names, np.exp(rng.uniform(-0.4, 0.4, 4)), strict=True))
        episodes[task] = play(task, 100 + index, factors[task] if is_scaled else None)

    size = ENGINE.num_dofs
    joints = {
        key: np.concatenate([padded(e[key][:-1], slots(t), size) for t, e in episodes.items()])
        for key in ("qpos", "qvel")
    }
    repeat = NUM_STEPS * np.ones(len(NAMES), int)
    body = {
        **joints,
        "target": np.repeat([e["target"] for e in episodes.values()], repeat, axis=0),
        "tendon_coef": np.repeat([e["directions"] for e in episodes.values()], repeat, axis=0),
    }
    control = np.concatenate(
        [padded(e["action"], list(range(e["action"].shape[1])), 2) for e in episodes.values()]
    )
    scales = None
    if is_scaled:
        scales = {
            name: np.repeat([factors[task][name] for task in NAMES], repeat) for name in names
        }

    def compute(task, inputs):
        body, control, scales = inputs
        constants = ENGINE.constants(task, scales)
        after = ENGINE.step(constants, body, control)
        return after, ENGINE.observation(constants, body), ENGINE.reward(constants, after, control)

    inputs = keras.tree.map_structure(
        lambda x: None if x is None else ops.convert_to_tensor(x, dtype="float32"),
        (body, control, scales),
    )
    task = ops.convert_to_tensor(np.repeat(np.arange(len(NAMES), dtype="int32"), repeat))
    results = keras.tree.map_structure(
        lambda x: np.array(ops.convert_to_numpy(x)), backend.compile(compute)(task, inputs)
    )
    for index, (task, episode) in enumerate(episodes.items()):
        part = slice(index * NUM_STEPS, (index + 1) * NUM_STEPS)
        after, observation, reward = keras.tree.map_structure(lambda x, p=part: x[p], results)
        for key in ("qpos", "qvel"):
            expected = episode[key][1:]
            errors = np.abs(after[key][:, slots(task)] - expected)
            assert np.max(errors / np.maximum(1.0, np.abs(expected))) < 1e-5, (task, key)
        expected = episode["obs"][:-1]
        errors = np.abs(observation[:, : expected.shape[1]] - expected)
        assert np.max(errors / np.maximum(1.0, np.abs(expected))) < 1e-5, task
        # A state within rounding of a threshold may count on either side of it.
        errors = np.abs(reward - episode["reward"])
        assert np.mean(errors < 1e-5) > 0.998, task
