"""dm_control beside an environment of ours: the same seeds, the same actions."""

import numpy as np


def dm_control_env(task, seed):
    """The environment that dm_control loads of a name such as `"finger_spin"`."""
    from dm_control import suite

    pairs = {f"{domain}_{name}": (domain, name) for domain, name in suite.ALL_TASKS}
    return suite.load(*pairs[task], task_kwargs={"random": int(seed)})


def flat(time_step):
    return np.concatenate([np.ravel(value) for value in time_step.observation.values()])


def held_actions(num_steps, shape, seed=0, hold=7):
    """Random actions that are kept for some steps, a tenth of them beyond the bounds."""
    draws = np.random.default_rng(seed).uniform(-1.1, 1.1, (-(-num_steps // hold), *shape))
    return np.repeat(draws, hold, axis=0)[:num_steps].astype("float32")
